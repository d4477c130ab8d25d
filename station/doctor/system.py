"""Checks of the computer itself: processor, limits, network, disk, clock. Pure but for what they read under `root`."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from station.doctor.base import Check

__all__ = [
    "check_clock",
    "check_disk",
    "check_governor",
    "check_limits",
    "check_links",
    "check_open_files",
    "check_page_lock",
    "check_socket_buffers",
    "check_writable",
]

_ROOT = Path("/")
_MIB = 1 << 20
_OPEN_FILES = 4096
_PAGE_LOCK_BYTES = 64 * _MIB
_SOCKET_BYTES = 8 * _MIB
_SOCKET_SETTING = "net.core.rmem_max=33554432"
_JUMBO_MTU = 8000
_ETHERNET = "1"
_DISK_LOW_BYTES = 1024 * _MIB
_DISK_FULL_BYTES = 100 * _MIB
_ASK_S = 5.0


def check_governor(root: Path = _ROOT) -> Check:
    """Find processors whose clock is governed for saving."""
    files = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"))
    governors = [file.read_text().strip() for file in files]
    if not governors:
        return Check("ok", "governor", "not visible here (virtual machine?)")
    slow = sorted({governor for governor in governors if governor != "performance"})
    if not slow:
        return Check("ok", "governor", f"performance on {len(governors)} processors")
    count = sum(governor in slow for governor in governors)
    found = f"{', '.join(slow)} on {count} of {len(governors)} processors: they are slow after every pause"
    return Check("warning", "governor", found, "sudo cpupower frequency-set -g performance")


def check_limits(gpu: bool) -> Iterator[Check]:
    """Check what this process may open and, with `gpu`, lock in memory; a service has limits of its own."""
    yield check_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield check_page_lock(resource.getrlimit(resource.RLIMIT_MEMLOCK)[0], gpu)


def check_open_files(soft: int) -> Check:
    """Check the soft limit of open files."""
    if soft == resource.RLIM_INFINITY or soft >= _OPEN_FILES:
        return Check("ok", "open files", "no limit" if soft == resource.RLIM_INFINITY else f"up to {soft}")
    mend = f"ulimit -n {_OPEN_FILES}\nLimitNOFILE={_OPEN_FILES} in the unit's [Service]"
    return Check("warning", "open files", f"up to {soft}: cameras and subscribers can use them up", mend)


def check_page_lock(soft: int, gpu: bool) -> Check:
    """Check the soft limit of locked memory in bytes, which buffers of a GPU and of cameras need."""
    if soft == resource.RLIM_INFINITY:
        return Check("ok", "locked memory", "no limit")
    found = f"up to {soft / _MIB:g} MiB"
    if soft >= _PAGE_LOCK_BYTES:
        return Check("ok", "locked memory", found)
    if not gpu:
        return Check("ok", "locked memory", f"{found}; a GPU needs LimitMEMLOCK=infinity")
    mend = "ulimit -l unlimited\nLimitMEMLOCK=infinity in the unit's [Service]"
    return Check("warning", "locked memory", f"{found}: little for the page-locked buffers of a GPU", mend)


def check_socket_buffers(root: Path = _ROOT) -> Check:
    """Check how much a socket may buffer: a GigE camera sends a frame faster than it is read."""
    bytes_most = int((root / "proc/sys/net/core/rmem_max").read_text())
    found = f"up to {bytes_most / _MIB:.3g} MiB"
    if bytes_most >= _SOCKET_BYTES:
        return Check("ok", "socket buffers", found)
    mend = f"sudo sysctl -w {_SOCKET_SETTING}\necho {_SOCKET_SETTING} | sudo tee /etc/sysctl.d/90-shadowline.conf"
    return Check("warning", "socket buffers", f"{found}: a GigE camera would lose packets", mend)


def check_links(root: Path = _ROOT) -> Iterator[Check]:
    """Say of each wired Ethernet link whether it carries the large packets that a GigE camera wants."""
    for link in sorted((root / "sys/class/net").glob("*")):
        wired = (link / "device").exists() and not (link / "phy80211").exists()
        if not wired or (link / "type").read_text().strip() != _ETHERNET:
            continue
        mtu = int((link / "mtu").read_text())
        if mtu >= _JUMBO_MTU:
            yield Check("ok", f"link {link.name}", f"MTU {mtu}")
        else:
            found = f"MTU {mtu}: jumbo frames off; a GigE camera needs:"
            yield Check("ok", f"link {link.name}", found, f"sudo ip link set dev {link.name} mtu 9000")


def check_disk(name: str, folder: Path) -> Check:
    """Check the space for `folder`, which need not be there yet."""
    place = _nearest(folder)
    free_bytes = shutil.disk_usage(place).free
    found = f"{free_bytes / (1 << 30):.1f} GiB free in {folder}"
    if free_bytes >= _DISK_LOW_BYTES:
        return Check("ok", name, found)
    mount = next(part for part in (place, *place.parents) if part.is_mount())
    mend = f"sudo du -xh --max-depth=2 {quote(str(mount))} | sort -h | tail"
    return Check("fault" if free_bytes < _DISK_FULL_BYTES else "warning", name, found, mend)


def check_writable(name: str, folder: Path) -> Iterator[Check]:
    """Find a folder that this user can neither write nor make."""
    place = _nearest(folder)
    if not os.access(place, os.W_OK | os.X_OK):
        found = f"{folder} can't be written by this user, so no plan can be built"
        yield Check("warning", name, found, f"namei -l {quote(str(place))}")


def check_clock(root: Path = _ROOT) -> Iterator[Check]:
    """Say whether time is kept by a server; nothing where that can't be known."""
    synchronised = _synchronised(root)
    if synchronised:
        yield Check("ok", "clock", "synchronised")
    elif synchronised is False:
        found = "not synchronised: the times in events drift away from those of the line"
        yield Check("warning", "clock", found, "sudo timedatectl set-ntp true")


def _nearest(folder: Path) -> Path:
    """Return `folder`, or the nearest of its parents that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def _synchronised(root: Path) -> bool | None:
    """Ask timesyncd's mark, then systemd, which asks the kernel and so sees chrony and ntpd too; None: unknown."""
    if (root / "run/systemd/timesync/synchronized").exists():
        return True
    ask = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        said = subprocess.run(ask, capture_output=True, text=True, timeout=_ASK_S, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(said)
