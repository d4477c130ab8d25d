import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from shadowline.errors import KeysError
from station.security.clients import Domain, Refusal, allow, judge, known_clients, read_clients, revoke
from station.security.keys import today
from tests.keyed import Keyring

EXPIRY = today() + timedelta(days=2)  # of a run that may go over midnight


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path)


def rewrite(keyring: Keyring, name: str, /, **changes: object) -> None:
    path = keyring.folder / "clients" / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(("domain", "refusal"), [("events", None), ("replay", None), ("control", "not allowed")])
def test_a_client_may_what_it_was_allowed(keyring: Keyring, domain: Domain, refusal: Refusal | None) -> None:
    keys = keyring.client("hmi", "events", "replay")
    assert judge(known_clients(keyring.folder), keys.own.public, domain, today()) == refusal


def test_nobody_else_may_anything(keyring: Keyring) -> None:
    keyring.client("hmi", "events")
    stranger = keyring.client("stranger")
    assert judge(known_clients(keyring.folder), stranger.own.public, "events", today()) == "unknown"


def test_a_revoked_client_may_nothing_until_it_is_allowed_again(keyring: Keyring) -> None:
    keys = keyring.client("hmi", "events")
    revoke(keyring.folder, "hmi")
    assert judge(known_clients(keyring.folder), keys.own.public, "events", today()) == "revoked"
    allow(keyring.folder, "hmi", keys.own.public, ["events"])
    assert judge(known_clients(keyring.folder), keys.own.public, "events", today()) is None


def test_a_key_expires_with_the_day(keyring: Keyring) -> None:
    keys = keyring.client("hmi")
    allow(keyring.folder, "hmi", keys.own.public, ["events"], EXPIRY)
    clients = known_clients(keyring.folder)
    assert judge(clients, keys.own.public, "events", EXPIRY - timedelta(days=1)) is None
    assert judge(clients, keys.own.public, "events", EXPIRY) == "expired"


def test_a_date_that_is_past_is_no_date_to_expire_on(keyring: Keyring) -> None:
    keys = keyring.client("hmi")
    with pytest.raises(KeysError, match="name a date to come"):
        allow(keyring.folder, "hmi", keys.own.public, ["events"], date(2020, 1, 1))


def test_a_new_key_takes_the_place_of_the_old_one(keyring: Keyring) -> None:
    old, new = keyring.client("hmi", "events"), keyring.client("new")
    allow(keyring.folder, "hmi", new.own.public, ["replay"])
    clients = known_clients(keyring.folder)
    assert judge(clients, old.own.public, "events", today()) == "unknown"
    assert judge(clients, new.own.public, "replay", today()) is None


def test_two_clients_can_not_have_one_key(keyring: Keyring) -> None:
    keys = keyring.client("hmi", "events")
    with pytest.raises(KeysError, match="client hmi has this very key"):
        allow(keyring.folder, "other", keys.own.public, ["events"])


def test_nobody_is_revoked_who_is_not_known(keyring: Keyring) -> None:
    with pytest.raises(KeysError, match="no client hmi; there are: none"):
        revoke(keyring.folder, "hmi")
    keyring.client("plc", "events")
    with pytest.raises(KeysError, match="no client hmi; there are: plc"):
        revoke(keyring.folder, "hmi")


DAMAGES: dict[str, tuple[dict[str, object], str]] = {
    "no key": ({"public_key": "abc"}, "a key has 40 characters"),
    "another client's file": ({"name": "plc"}, r"hmi.json: holds the key of client plc: swapped\?"),
    "an unknown permission": ({"may": ["everything"]}, "damaged"),
    "no date": ({"expires": "tomorrow"}, "damaged"),
}


@pytest.mark.parametrize(("changes", "told"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_lets_nobody_in_and_is_named(keyring: Keyring, changes: dict[str, object], told: str) -> None:
    keyring.client("hmi", "events")
    other = keyring.client("other", "events")
    rewrite(keyring, "hmi", **changes)
    clients, faults = read_clients(keyring.folder)
    assert [client.public_key for client in clients] == [other.own.public]
    assert len(faults) == 1
    with pytest.raises(KeysError, match=told):
        known_clients(keyring.folder)


def test_a_copied_file_lets_nobody_in_twice(keyring: Keyring) -> None:
    keyring.client("hmi", "events")
    text = (keyring.folder / "clients" / "hmi.json").read_text()
    copy = keyring.folder / "clients" / "zzz.json"
    copy.write_text(text.replace('"hmi"', '"zzz"'))
    copy.chmod(0o600)
    with pytest.raises(KeysError, match="client hmi has this very key"):
        known_clients(keyring.folder)


def test_a_folder_of_clients_that_others_write_is_refused(keyring: Keyring) -> None:
    keyring.client("hmi", "events")
    (keyring.folder / "clients").chmod(0o777)
    with pytest.raises(KeysError, match="chmod 700"):
        read_clients(keyring.folder)
