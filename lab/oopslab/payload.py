"""What a server is given on disks of its own: packages, wheels, symbols, an incident."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from oopslab import build
from oopslab.cache import locked, new_directory, root
from oopslab.command import run
from oopslab.disk import installed, write
from oopslab.kernel import Kernel
from oopslab.packages import Suite
from oopslab.scenario import GUEST, Scenario

UUID = "7d1c9b52-4f0a-4a35-9a3e-0c8a6e2f5b22"
SYMBOLS_UUID = "7d1c9b52-4f0a-4a35-9a3e-0c8a6e2f5b33"
_PYTHON = "3.11"  # of Debian 12
_FIELDS = ("Package", "Version", "Architecture", "Depends", "Pre-Depends", "Provides")

# Runs a scenario's init.sh as the lab's own guests do.
_RUN = """\
#!/bin/sh
service() {
	path=$1
	shift
	mkdir -p "${path%/*}"
	ln -f /usr/libexec/service "$path"
	setsid "$path" "$@" </dev/null >/dev/null 2>&1 &
}
load() {
	module=$1
	shift
	insmod "/lib/modules/current/extra/$module.ko" "$@"
}
log() { echo "<30>$*" >/dev/kmsg; }
mkdir -p /run/notes
boot() { :; }
workload() { :; }
. /usr/local/lib/incident.sh
boot
workload
"""


def repository(kernel: Kernel, packages: list[str], target: Path) -> None:
    """Download *packages*, and what an installed server lacks of their needs, as an apt archive.

    The server uses it with the line ``deb [trusted=yes] file:PATH ./``.
    """
    suite = Suite(kernel.suite)
    suite.refresh()
    (target / "partial").mkdir(parents=True)
    run(
        [
            *("apt-get", "-q", "-y", "--no-install-recommends", "--download-only"),
            *("-o", f"Dir::State::status={installed(kernel) / 'status'}"),
            *("-o", f"Dir::Cache::archives={target}", "install", *packages),
        ],
        env=suite.environment,
        timeout=900,
    )
    stanzas = []
    for deb in sorted(target.glob("*.deb")):
        content = deb.read_bytes()
        fields = run(["dpkg-deb", "-f", deb, *_FIELDS]).strip()
        digest = hashlib.sha256(content).hexdigest()
        place = f"Filename: ./{deb.name}\nSize: {len(content)}\nSHA256: {digest}"
        stanzas.append(f"{fields}\n{place}\n")
    (target / "Packages").write_text("\n".join(stanzas))
    shutil.rmtree(target / "partial")
    (target / "lock").unlink(missing_ok=True)


def wheels(checkout: Path, target: Path) -> None:
    """Build a wheel of the checkout, and download those that it needs, for Debian 12's Python."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "wheel", "-q", "--no-deps", "--wheel-dir", target, checkout], timeout=600)
    (wheel,) = target.glob("oopsight-*.whl")
    platform = [*("--python-version", _PYTHON, "--only-binary", ":all:")]
    run([*pip, "download", "-q", *platform, "--dest", target, wheel], timeout=900)


def incident(scenario: Scenario, kernel: Kernel, work: Path, target: Path) -> None:
    """Build a scenario into a file tree to be copied over a server's own; run ``incident``."""
    files = {
        "usr/local/lib/incident.sh": scenario.texts["init.sh"],
        "usr/local/sbin/incident": _RUN,
    }
    for path, text in {**files, **scenario.under("files")}.items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(0o755 if text.startswith("#!") else 0o644)
    extra = target / "usr/lib/modules" / kernel.release / "extra"
    extra.mkdir(parents=True)
    for name, module in build.modules(scenario, kernel, work / "module").items():
        build.stripped(module, extra / f"{name}.ko")
    (target / "usr/lib/modules/current").symlink_to(kernel.release)
    (target / "usr/libexec").mkdir(parents=True)
    build.program(GUEST / "service.c", target / "usr/libexec/service")
    for path, text in scenario.under("user").items():
        source = work / "user" / path
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text)
        build.program(source, target / "usr/local/bin" / source.stem)


def disk(tree: Path, image: Path) -> Path:
    """Write a payload's tree onto a disk image, which a server finds by its UUID."""
    size = sum(path.lstat().st_size for path in tree.rglob("*")) * 5 // 4 + (64 << 20)
    write(image, tree, whole(size), UUID)
    return image


def whole(size: int) -> int:
    """The size of a disk image: whole MiB."""
    return -(-size // (1 << 20)) << 20


def symbols(kernel: Kernel) -> Path:
    """A disk that holds ``boot/vmlinux-RELEASE``, to be mounted at /usr/lib/debug."""
    target = root() / "disks" / f"{kernel.release}-symbols"
    with locked(target):
        if not target.exists():
            with new_directory(target) as work:
                boot = work / "tree" / "boot"
                boot.mkdir(parents=True)
                os.link(kernel.vmlinux, boot / kernel.vmlinux.name)
                size = whole(kernel.vmlinux.stat().st_size + (96 << 20))
                write(work / "disk.img", work / "tree", size, SYMBOLS_UUID)
                shutil.rmtree(work / "tree")
    return target / "disk.img"
