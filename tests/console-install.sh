#!/bin/sh
# What the console's tests need beyond pip: a browser, and letters for Chinese. As root.
set -eu

packages="chromium fonts-dejavu-core fonts-wqy-microhei"

if ! dpkg -s $packages >/dev/null 2>&1; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
fi
