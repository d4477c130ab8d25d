import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from station.gateways.mqtt.payload import DataSet, DataType, Metric, Payload, decode, encode
from tests.sparkplug_schema import read, values

TEXTS = st.text("aZ0 /äß€𝄞\0\n", max_size=20)
OF_TYPE: dict[DataType, st.SearchStrategy[int | float | bool | str]] = {
    DataType.INT64: st.integers(-(2**63), 2**63 - 1),
    DataType.UINT32: st.integers(0, 2**32 - 1),
    DataType.UINT64: st.integers(0, 2**64 - 1),
    DataType.DOUBLE: st.floats(allow_nan=False),
    DataType.BOOLEAN: st.booleans(),
    DataType.STRING: TEXTS,
    DataType.DATE_TIME: st.integers(0, 2**64 - 1),
}
METRICS = st.sampled_from(list(OF_TYPE)).flatmap(
    lambda kind: st.builds(
        Metric,
        TEXTS.filter(bool),
        st.just(kind),
        OF_TYPE[kind] | st.none(),
        st.integers(0, 2**63),
        st.none() | st.integers(0, 2**63),
        st.booleans(),
    )
)
PAYLOADS = st.builds(
    Payload, st.integers(0, 2**63), st.lists(METRICS, max_size=3).map(tuple), st.none() | st.integers(0, 255)
)


@settings(max_examples=30)
@given(PAYLOADS)
def test_what_is_encoded_is_decoded(payload: Payload) -> None:
    assert decode(encode(payload)) == payload


@settings(max_examples=30)
@given(PAYLOADS)
def test_another_decoder_reads_the_same(payload: Payload) -> None:
    message = read(encode(payload))
    assert message.timestamp == payload.timestamp_ms
    assert message.HasField("seq") == (payload.seq is not None)
    assert message.seq == (payload.seq or 0)
    for metric, found in zip(payload.metrics, message.metrics, strict=True):
        assert (found.name, found.datatype, found.timestamp) == (metric.name, metric.datatype, metric.timestamp_ms)
        assert found.is_historical == metric.is_historical
        assert found.HasField("alias") == (metric.alias is not None)
        assert found.is_null == (metric.value is None)


@pytest.mark.parametrize(
    ("kind", "value", "read_as"),
    [
        (DataType.INT64, -1, 2**64 - 1),  # two's complement in an unsigned field, as the specification wants it
        (DataType.UINT32, 7, 7),
        (DataType.DOUBLE, 0.25, 0.25),
        (DataType.BOOLEAN, False, False),
        (DataType.STRING, "Kratzer ü", "Kratzer ü"),
        (DataType.DATE_TIME, 1_700_000_000_000, 1_700_000_000_000),
    ],
)
def test_values_lie_in_the_field_of_their_type(kind: DataType, value: int | str, read_as: object) -> None:
    assert values(encode(Payload(1, (Metric("one", kind, value, 2),)))) == {"one": read_as}


def test_a_table_keeps_its_columns_types_and_empty_cells() -> None:
    table = DataSet(("label", "mm"), (DataType.STRING, DataType.DOUBLE), (("scratch", 1.5), ("pit", None)))
    payload = encode(Payload(1, (Metric("defects", DataType.DATA_SET, table, 2),)))
    assert values(payload) == {"defects": [{"label": "scratch", "mm": 1.5}, {"label": "pit", "mm": None}]}
    assert list(read(payload).metrics[0].dataset_value.types) == [12, 10]


def test_a_metric_that_has_only_an_alias_does_not_tell_its_type() -> None:
    (metric,) = read(encode(Payload(1, (Metric("", DataType.UINT64, 5, 2, alias=9),)))).metrics
    assert metric.alias == 9
    assert not metric.HasField("name")
    assert not metric.HasField("datatype")


def test_values_of_kinds_that_a_station_does_not_have_are_none() -> None:
    a_float = bytes.fromhex("120a0a01782009650000803f")
    assert decode(a_float).metrics == (Metric("x", DataType.UNKNOWN, None, 0),)


@given(st.binary(max_size=200))
def test_nothing_but_a_value_error_comes_of_any_bytes(message: bytes) -> None:
    try:
        payload = decode(message)
    except ValueError:
        return
    assert len(payload.metrics) <= len(message)


@pytest.mark.parametrize("message", ["1203100a08", "12020805", "12020a", "120408011200", "12021200"])
def test_metrics_whose_fields_are_of_another_kind_are_refused(message: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(bytes.fromhex(message))
