"""Keeps every result once, whatever is killed in between: python mqtt_consumer.py results.db [host] [port]"""

import json
import sqlite3
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

WEEK_S = 7 * 86_400

file, host, port = (*sys.argv[1:], *["127.0.0.1", "1883"][len(sys.argv) - 2 :])[:3]
database = sqlite3.connect(file)
database.execute(
    "create table if not exists result (run text, event integer, camera text, verdict text, message text,"
    " primary key (run, event))"
)


def keep(client, own, message):
    result = json.loads(message.payload)
    row = (result["origin"]["run"], result["event"], result["camera"], result["verdict"], message.payload.decode())
    with database:  # what comes again has the same run and event, and changes nothing
        database.execute("insert or ignore into result values (?, ?, ?, ?, ?)", row)
    client.ack(message.mid, message.qos)  # only now may the broker forget it


def subscribe(client, own, flags, reason, properties):
    client.subscribe("shadowline/+/inspection/#", qos=1)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "mes", protocol=mqtt.MQTTv5, manual_ack=True)
client.on_message, client.on_connect = keep, subscribe
session = Properties(PacketTypes.CONNECT)
session.SessionExpiryInterval = WEEK_S  # so long the broker keeps what comes while this is away
client.connect_async(host, int(port), clean_start=False, properties=session)
client.reconnect_delay_set(1, 10)
client.loop_forever(retry_first_connection=True)
