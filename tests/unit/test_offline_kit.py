"""An offline kit: what is cut is joined to the same bytes, sums catch damage, and wheels fit the target's Python."""

import io
import subprocess
import tarfile

import pytest

from shadowline.errors import ConfigError
from tests.gpu.kit_files import JOINED_SUMS, SUMS, join_parts, kit_files, split_files, write_sums
from tests.gpu.kit_wheels import missing, platform_tags, target_environment
from tests.gpu.offline_kit import check_python, pycuda_needs, remove_stale

CONTENT = bytes(range(256)) * 10


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "large.whl").write_bytes(CONTENT)
    (tmp_path / "small.whl").write_bytes(b"small")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("part_bytes", "parts"), [(2559, 2), (1280, 2), (1279, 3), (853, 4), (26, 99)], ids=lambda value: str(value)
)
def test_a_large_file_is_cut_and_joined_to_the_same_bytes(folder, part_bytes, parts):
    assert split_files(folder, part_bytes) == {"large.whl": sha256_of(CONTENT)}
    assert names(folder) == [*(f"large.whl.part-{number:02}" for number in range(parts)), "small.whl"]
    assert max(path.stat().st_size for path in folder.glob("*.part-*")) <= part_bytes
    join_parts(folder)
    assert names(folder) == ["large.whl", "small.whl"]
    assert (folder / "large.whl").read_bytes() == CONTENT


def sha256_of(content):
    import hashlib

    return hashlib.sha256(content).hexdigest()


def test_plain_cat_joins_the_parts(folder):
    split_files(folder, 100)
    subprocess.run("cat large.whl.part-[0-9][0-9] > joined", shell=True, cwd=folder, check=True)
    assert (folder / "joined").read_bytes() == CONTENT


@pytest.mark.parametrize("part_bytes", [0, len(CONTENT), 10**9])
def test_what_is_small_enough_stays_whole(folder, part_bytes):
    assert split_files(folder, part_bytes) == {}
    assert names(folder) == ["large.whl", "small.whl"]


def test_more_than_a_hundred_parts_are_refused_and_nothing_is_touched(folder):
    with pytest.raises(ConfigError, match=r"large\.whl: more than 100 parts"):
        split_files(folder, 25)
    assert names(folder) == ["large.whl", "small.whl"]


def test_a_cut_that_was_broken_off_is_undone(folder):
    (folder / "large.whl.part-00").write_bytes(CONTENT[:100])
    join_parts(folder)
    assert names(folder) == ["large.whl", "small.whl"]
    assert (folder / "large.whl").read_bytes() == CONTENT


def test_sums_are_read_by_sha256sum_and_leave_out_an_installed_venv(folder):
    (folder / "venv").mkdir()
    (folder / "venv" / "pyvenv.cfg").touch()
    write_sums(folder, split_files(folder, 1000))
    listed = [line.split("  ")[1] for line in (folder / SUMS).read_text().splitlines()]
    parts = [f"large.whl.part-{number:02}" for number in range(3)]
    assert listed == [JOINED_SUMS, *parts, "small.whl"]
    assert check_sums(folder) == 0
    join_parts(folder)
    subprocess.run(["sha256sum", "--check", "--quiet", JOINED_SUMS], cwd=folder, check=True)
    assert folder / "venv" / "pyvenv.cfg" not in kit_files(folder)


def check_sums(folder):
    return subprocess.run(["sha256sum", "--check", "--status", "--strict", SUMS], cwd=folder, check=False).returncode


@pytest.mark.parametrize("damage", ["one byte", "a part missing"])
def test_sums_catch_damage(folder, damage):
    write_sums(folder, split_files(folder, 1000))
    part = folder / "large.whl.part-01"
    if damage == "one byte":
        part.write_bytes(b"x" + part.read_bytes()[1:])
    else:
        part.unlink()
    assert check_sums(folder) != 0


def item(name, requires=(), extras=()):
    """Return what pip's report says of one chosen wheel."""
    return {"metadata": {"name": name, "version": "1", "requires_dist": list(requires)}, "requested_extras": extras}


TARGETS = {
    "there": ([item("a", ["b>=2"]), item("b")], "3.12", []),
    "there under another spelling": ([item("a", ["typing_Extensions"]), item("typing-extensions")], "3.12", []),
    "needed by an older Python only": ([item("a", ["tomli>=1; python_version < '3.11'"])], "3.11", []),
    "needed by a newer Python only": (
        [item("a", ["audioop-lts>=1; python_version >= '3.13'"])],
        "3.13",
        ["audioop-lts>=1"],
    ),
    "of an extra that was asked for": ([item("a", ["b; extra == 'c'"], extras=["c"])], "3.12", ["b"]),
    "of an extra that was not": ([item("a", ["b; extra == 'c'"])], "3.12", []),
    "of another system": ([item("a", ["pywin32; sys_platform == 'win32'"])], "3.12", []),
    "of another processor": ([item("a", ["b; platform_machine == 'aarch64'"])], "3.12", []),
}


@pytest.mark.parametrize("case", TARGETS)
def test_what_the_target_needs_besides_is_found(case):
    chosen, python, expected = TARGETS[case]
    assert missing(chosen, target_environment(python)) == expected


def test_wheels_ask_for_no_newer_glibc_than_the_oldest_target_has():
    tags = platform_tags()
    assert tags[0] == "manylinux_2_34_x86_64"
    assert {"manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"} < set(tags)
    assert "manylinux_2_35_x86_64" not in tags


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.14"])
def test_pythons_that_shadowline_runs_on(python):
    check_python(python)


@pytest.mark.parametrize("python", ["3.10", "2.7", "4.0", "3", "3.11.2", "", "3.x"])
def test_other_pythons_are_refused(python):
    with pytest.raises(ConfigError, match=r"must be 3\.N, from 3\.11 on"):
        check_python(python)


def test_what_pycuda_needs_is_read_from_its_source(tmp_path):
    path = tmp_path / "pycuda-2.0.tar.gz"
    texts = {
        "PKG-INFO": "Name: pycuda\nRequires-Dist: pytools>=2011.2\nRequires-Dist: mako\n",
        "pyproject.toml": '[build-system]\nrequires = ["setuptools", "numpy>=1.24"]\n',
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, text in texts.items():
            member = tarfile.TarInfo(f"pycuda-2.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    assert pycuda_needs(path) == ["setuptools", "numpy>=1.24", "pytools>=2011.2", "mako"]


def test_wheels_of_another_version_are_removed(folder):
    remove_stale(folder, {"small.whl"})
    assert names(folder) == ["small.whl"]
