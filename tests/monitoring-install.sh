#!/bin/sh
# What the monitoring tests need beyond pip: Debian's prometheus and promtool, unpacked into the virtual environment.
# No service, no user and nothing started. As root.
set -eu

cd "$(dirname "$0")/.."
[ -x .venv/bin/promtool ] && exit 0
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
apt-get update -q
(cd "$folder" && apt-get download -q prometheus)
dpkg-deb -x "$folder"/prometheus_*.deb "$folder/tree"
cp "$folder/tree/usr/bin/prometheus" "$folder/tree/usr/bin/promtool" .venv/bin/
