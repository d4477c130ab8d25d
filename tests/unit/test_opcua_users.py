"""Users of the OPC UA server."""

import stat
from pathlib import Path

import pytest

from shadowline.errors import KeysError
from station.gateways.opcua.users import Users


def test_a_user_comes_in_with_the_password_that_was_drawn(tmp_path: Path) -> None:
    users = Users(tmp_path / "ua")
    password = users.add("scada")
    assert users.opens("scada", password)
    assert not users.opens("scada", password + "x")
    assert not users.opens("plc", password)
    file = tmp_path / "ua" / "users.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert password not in file.read_text()


def test_a_new_password_ends_the_old_one_and_a_removed_user_stays_out(tmp_path: Path) -> None:
    users = Users(tmp_path / "ua")
    old = users.add("scada")
    new = users.add("scada")
    assert (users.opens("scada", old), users.opens("scada", new)) == (False, True)
    assert users.names() == ["scada"]
    assert users.remove("scada")
    assert not users.remove("scada")
    assert not users.opens("scada", new)


def test_nobody_is_known_at_first(tmp_path: Path) -> None:
    assert Users(tmp_path / "ua").names() == []
    assert not Users(tmp_path / "ua").opens("", "")


def test_a_file_that_others_can_read_lets_nobody_in(tmp_path: Path) -> None:
    users = Users(tmp_path / "ua")
    password = users.add("scada")
    (tmp_path / "ua" / "users.json").chmod(0o640)
    with pytest.raises(KeysError, match="others can get at it"):
        users.opens("scada", password)
    with pytest.raises(KeysError, match="a client's name"):
        users.add("no such name!")
