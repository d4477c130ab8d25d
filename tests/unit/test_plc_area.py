"""Values in words and back."""

from hypothesis import given
from hypothesis import strategies as st

from station.gateways.plc.area import Area, Register

AREA = Area(
    Register("flags", "bits", "", (("first", ""), ("second", ""))),
    Register("small", "u16", ""),
    Register("count", "u32", ""),
    Register("place", "i32", ""),
    Register("name", "text", ""),
)


@given(
    st.booleans(),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=32),
    st.booleans(),
)
def test_what_goes_in_comes_out(second: bool, small: int, count: int, place: int, name: str, low: bool) -> None:
    values = {"first": 0, "second": int(second), "small": small, "count": count, "place": place, "name": name}
    words = AREA.pack(values, low)
    assert len(words) == AREA.words == 22
    assert AREA.unpack(words, low) == values


def test_words_lie_as_the_page_says() -> None:
    words = AREA.pack({"second": 1, "count": 0x12345678, "place": -2, "name": "AB"})
    assert words[:8] == [2, 0, 0x1234, 0x5678, 0xFFFF, 0xFFFE, 0x4142, 0]
    assert AREA.pack({"count": 0x12345678}, low_word_first=True)[2:4] == [0x5678, 0x1234]
    assert AREA.places == {"flags": 0, "small": 1, "count": 2, "place": 4, "name": 6}


def test_what_does_not_fit_stops_or_wraps() -> None:
    words = AREA.pack({"small": 70_000, "count": 2**32 + 5, "place": 2**40, "name": "é" * 40})
    values = AREA.unpack(words)
    assert (values["small"], values["count"], values["place"], values["name"]) == (65_535, 5, 2**31 - 1, "?" * 32)
    assert AREA.unpack(AREA.pack({"small": -1}))["small"] == 0


def test_text_of_a_plc_is_never_more_than_text() -> None:
    words = [0] * 6 + [0xFFFE, 0x2041, 0x0000] + [0x4242] * 13
    assert AREA.unpack(words)["name"] == "\ufffd\ufffd A"
