#!/bin/sh
# What the tests of the service and its package need: a systemd that boots in a container, Debian's Python. As root.
set -eu

packages="
python3-venv
systemd
systemd-container
"

if ! dpkg -s $packages >/dev/null 2>&1; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
fi
