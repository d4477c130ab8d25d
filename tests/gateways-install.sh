#!/bin/sh
# What the gateways' tests need beyond pip: an MQTT broker. As root.
set -eu

packages="mosquitto openssl"

if ! dpkg -s $packages >/dev/null 2>&1; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
fi
