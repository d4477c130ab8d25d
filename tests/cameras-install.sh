#!/bin/sh
# What the camera tests need beyond pip: Aravis and its fake camera, what PyGObject is built with, an RTSP server and a
# virtual machine for V4L2. As root.
set -eu

packages="
gir1.2-aravis-0.8
libaravis-0.8-0
gcc
iproute2
libcairo2-dev
libgirepository1.0-dev
pkg-config
busybox-static
gir1.2-gst-rtsp-server-1.0
gstreamer1.0-plugins-base
gstreamer1.0-plugins-good
gstreamer1.0-plugins-ugly
make
python3-gi
qemu-system-x86
"

cd "$(dirname "$0")/.."
if ! dpkg -s $packages >/dev/null 2>&1; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
fi
.venv/bin/pip install -q -e '.[aravis]'
