import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.gateways.mqtt.protobuf import as_bytes, as_double, as_number, fields

NUMBERS = st.integers(0, 2**64 - 1)
FIELDS = st.integers(1, 2**29 - 1)


@given(st.lists(st.tuples(FIELDS, NUMBERS | st.binary(max_size=300))))
def test_what_is_written_is_read(written: list[tuple[int, int | bytes]]) -> None:
    message = b"".join(
        as_number(field, value) if isinstance(value, int) else as_bytes(field, value) for field, value in written
    )
    assert list(fields(message)) == written


def test_the_bytes_are_those_of_the_published_examples() -> None:
    assert as_number(1, 150) == bytes.fromhex("089601")
    assert as_bytes(2, b"testing") == bytes.fromhex("120774657374696e67")
    assert as_double(13, 1.0) == bytes.fromhex("69000000000000f03f")


def test_fields_of_fixed_length_are_given_as_they_lie() -> None:
    assert list(fields(bytes.fromhex("0d01020304") + as_double(2, 0.0))) == [(1, b"\x01\x02\x03\x04"), (2, bytes(8))]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("08", "ends within a number"),
        ("0896", "ends within a number"),
        ("08" + "ff" * 10 + "01", "more than 64 bits"),
        ("1205616263", "ends within a field"),
        ("0d010203", "ends within a field"),
        ("0b", "a field of kind 3"),
    ],
)
def test_what_is_no_message_is_refused(message: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(fields(bytes.fromhex(message)))


@given(st.binary(max_size=200))
def test_nothing_but_a_value_error_comes_of_any_bytes(message: bytes) -> None:
    try:
        found = list(fields(message))
    except ValueError:
        return
    assert sum(len(value) for _, value in found if isinstance(value, bytes)) <= len(message)
