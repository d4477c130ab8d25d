#!/bin/sh
# What the test of docs/examples/subscribe.c needs beyond pip: a compiler and libzmq's header. As root.
set -eu

packages="gcc libc6-dev libzmq3-dev"

if ! dpkg -s $packages >/dev/null 2>&1; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
fi
