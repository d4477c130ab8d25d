from station.archive.evidence import decode
from station.archive.sheet import draw_sheet
from tests.evidence import fill, make_event


def test_every_picture_has_its_cell(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for number, count, shape in ((1, 1, (216, 192)), (2, 5, (216, 5 * 192)), (3, 9, (2 * 216, 6 * 192))):
        (place,) = fill(tmp_path, [make_event(number, ("Größe",) * count)])
        evidence = decode((place / "event.json").read_bytes())
        contents = [(place / picture.file).read_bytes() for picture in evidence.pictures]
        sheet = draw_sheet(evidence, contents)
        assert sheet.shape == shape
        cells = [sheet[:216, 192 * column : 192 * column + 192] for column in range(min(count, 6))]
        assert all(cell[:192].mean() < 200 and cell[192:].min() < 128 for cell in cells)
