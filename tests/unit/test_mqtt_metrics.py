import pytest

from station.client import Gap, Renumbered
from station.gateways.base import Entry, Expired
from station.gateways.mqtt.metrics import CAMERA, NODE, camera_of, taken_ms, values_of
from tests.unit.test_mqtt_plain_json import MESSAGES

ENTRIES: dict[str, Entry] = {topic: message for topic, (message, _) in MESSAGES.items()} | {
    "gap": Gap(1, 2, "gone"),
    "expired": Expired(1, 2, 1),
    "renumbered": Renumbered("another journal"),
}


@pytest.mark.parametrize("topic", ENTRIES)
def test_every_entry_says_what_its_table_has(topic: str) -> None:
    entry = ENTRIES[topic]
    camera = camera_of(entry)
    assert (camera is None) == (not topic.endswith("/top"))
    values = values_of(entry)
    assert values
    assert values.keys() <= (CAMERA if camera else NODE).keys()


@pytest.mark.parametrize("topic", MESSAGES)
def test_every_message_carries_its_key_and_time(topic: str) -> None:
    entry, _ = MESSAGES[topic]
    assert (values_of(entry)["Event/Run"], values_of(entry)["Event/Number"]) == ("run1", entry.event)
    assert taken_ms(entry) == 0


def test_the_tables_leave_room_between_the_aliases() -> None:
    assert max(len(NODE), len(CAMERA)) < 100
