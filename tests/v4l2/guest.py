"""A virtual machine with real V4L2 devices: Debian's kernel over this computer's own files, which it can only read.

Its packages are downloaded once, into the user's cache; nothing of them is installed.
"""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["run", "why_missing"]

_REPOSITORY = Path(__file__).parents[2]
_NEEDED = {
    "apt-get": "apt, of Debian",
    "dpkg": "dpkg, of Debian",
    "busybox": "busybox-static",
    "qemu-system-x86_64": "qemu-system-x86",
    "make": "make",
    "gcc": "gcc",
}
_KERNEL = re.compile(r"Depends: linux-image-(\d\S+)")
_FOR_MODULES = re.compile(r"Depends: (linux-(?:headers|kbuild)-\S+)")
_SHARING = ("virtio_pci", "9pnet_virtio", "9p")
_DEVICES = ("vivid", "v4l2loopback")
_OPTIONS = {"vivid": "n_devs=1 node_types=0x101", "v4l2loopback": "video_nr=7 card_label=loop exclusive_caps=0"}

_INIT = """#!/busybox sh
/busybox mkdir /proc /sys /host
/busybox mount -t proc proc /proc
/busybox mount -t sysfs sys /sys
for module in /modules/*; do /busybox insmod $module; done
/busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /host
/busybox mount -t tmpfs tmp /host/mnt
/busybox mount -t devtmpfs dev /host/dev
/busybox mount --move /proc /host/proc
/busybox mount --move /sys /host/sys
/busybox sh /devices
export TMPDIR=/mnt PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$REPOSITORY
/busybox chroot /host $PYTHON -m tests.v4l2.inside >/host/dev/ttyS1
/busybox poweroff -f
"""


def why_missing() -> str:
    """Return why there can be no guest here; empty where there can."""
    if os.geteuid() != 0:
        return "the guest shares this computer's files, as root"
    lacking = [package for command, package in _NEEDED.items() if shutil.which(command) is None]
    if lacking:
        return f"no {', '.join(lacking)}"
    return "" if _KERNEL.search(_depends("linux-image-amd64")) else "apt knows no Debian kernel (linux-image-amd64)"


def run(folder: Path, timeout_s: float) -> list[dict[str, Any]]:
    """Boot a guest, run `tests.v4l2.inside` in it, and return the JSON lines it prints.

    `folder` is for what only this guest needs; its `console.log` tells why when there are no lines.
    """
    found = _KERNEL.search(_depends("linux-image-amd64"))
    assert found is not None
    release = found[1]
    tree = _unpacked(release)
    (folder / "initramfs.gz").write_bytes(gzip.compress(b"".join(_archive(_files(tree)))))
    command = [
        "qemu-system-x86_64",
        "-accel",
        "tcg",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        "1024",
        "-nodefaults",
        "-display",
        "none",
    ]
    command += ["-kernel", str(tree / f"boot/vmlinuz-{release}"), "-initrd", str(folder / "initramfs.gz")]
    settings = f"REPOSITORY={_REPOSITORY} PYTHON={_REPOSITORY / '.venv/bin/python'}"
    command += ["-append", f"console=ttyS0 quiet panic=-1 {settings}", "-no-reboot"]
    command += ["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]
    command += ["-serial", f"file:{folder / 'console.log'}", "-serial", "stdio"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _depends(package: str) -> str:
    return subprocess.run(["apt-cache", "depends", package], capture_output=True, text=True, check=False).stdout


def _unpacked(release: str) -> Path:
    """Return the kernel's files and modules in the cache, `v4l2loopback` built for it; made at the first call."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shadowline" / "v4l2"
    tree = cache / release
    if not tree.exists():
        making = cache / f"{release}.{os.getpid()}"
        making.mkdir(parents=True)
        headers = f"linux-headers-{release}"
        packages = [f"linux-image-{release}", headers, *_FOR_MODULES.findall(_depends(headers)), "v4l2loopback-dkms"]
        _call(making, "apt-get", "-q", "download", *packages)
        for package in making.glob("*.deb"):
            _call(making, "dpkg", "-x", str(package), ".")
            package.unlink()
        _build_loopback(making, headers)
        making.rename(tree)
    return tree


def _build_loopback(tree: Path, headers: str) -> None:
    makefile = tree / "usr/src" / headers / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src", str(tree / "usr/src")))
    (source,) = (tree / "usr/src").glob("v4l2loopback-*")
    _call(tree, "make", "-s", "-C", str(makefile.parent), f"M={source}", "modules")


def _call(folder: Path, *command: str) -> None:
    """Run a command in `folder`; what it says is shown by pytest when it fails."""
    subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)


def _files(tree: Path) -> dict[str, bytes]:
    """Return what the guest begins with: enough to reach this computer's files, where everything else is."""
    modules = {path.stem.replace("-", "_"): path for path in tree.rglob("*.ko")}
    sharing, devices = _in_order(modules, _SHARING), _in_order(modules, _DEVICES)
    insert = [f"/busybox insmod /host{modules[name]} {_OPTIONS.get(name, '')}\n" for name in devices]
    files = {f"modules/{place:02}-{name}.ko": modules[name].read_bytes() for place, name in enumerate(sharing)}
    busybox = shutil.which("busybox")
    assert busybox is not None
    return {"init": _INIT.encode(), "devices": "".join(insert).encode(), "busybox": Path(busybox).read_bytes(), **files}


def _in_order(modules: dict[str, Path], names: Sequence[str]) -> list[str]:
    """Return kernel modules and all that they stand on, in the order in which they can be loaded."""
    order: list[str] = []
    for name in names:
        if name in modules:  # else it is built in
            found = re.search(rb"\0depends=([^\0]*)\0", modules[name].read_bytes())
            below = found[1].decode().replace("-", "_").split(",") if found else []
            order += [module for module in [*_in_order(modules, below), name] if module not in order]
    return order


def _archive(files: dict[str, bytes]) -> Iterator[bytes]:
    """Yield an archive as the kernel unpacks it (cpio, `newc`): folders first, all of it executable."""
    folders = {name.rpartition("/")[0]: b"" for name in files if "/" in name}
    entries = [*((name, 0o040755, b"") for name in folders), *((name, 0o100755, data) for name, data in files.items())]
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        title = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(title), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + title
        yield from (head, bytes(-len(head) % 4), data, bytes(-len(data) % 4))
