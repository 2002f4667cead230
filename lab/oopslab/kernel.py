"""The kernels that are crashed: which ones Debian offers now, and their files.

Versions move on in every suite, so none is named here: of each series the newest kernel is taken
whose image, debug symbols and headers are all offered. A series is of cloud kernels, which boot
fastest, unless it names another flavour.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from oopslab.cache import locked, new_directory, root
from oopslab.errors import LabUnavailable
from oopslab.packages import Suite

# Where each series is looked for, in this order: its number, and its flavour behind a dash.
SERIES: dict[str, tuple[str, ...]] = {
    "6.1": ("bookworm",),
    "6.12": ("bookworm", "trixie"),
    "7.2": ("forky",),
    "5.10": ("bullseye",),
    "6.1-amd64": ("bookworm",),
    "6.1-rt-amd64": ("bookworm",),
    "6.12-amd64": ("bookworm", "trixie"),
    "6.12-rt-amd64": ("bookworm", "trixie"),
}
_USUAL_FLAVOUR = "cloud-amd64"
# The kernel's build tools are programs of their suite. Those of an older one run here; for a newer
# one, its compiler and C library are unpacked as well, and modules are built in a root of them.
_TOOLS_RUN_HERE = ("bullseye", "bookworm")
_ROOT = ("base-files", "bash", "coreutils", "dash", "findutils", "grep", "make", "mawk", "sed")
_CHOICE_VALID = 24 * 3600  # seconds
_ATTEMPTS = 4  # releases tried where the newest is listed but gone


@dataclass(frozen=True)
class Kernel:
    """A kernel as Debian offers it: series 6.1, release 6.1.0-56-cloud-amd64, suite bookworm."""

    series: str
    release: str
    suite: str

    @property
    def directory(self) -> Path:
        """Where its packages are unpacked."""
        return root() / "kernels" / self.release

    @property
    def vmlinuz(self) -> Path:
        """The compressed image that QEMU boots."""
        usual = self.directory / "boot" / f"vmlinuz-{self.release}"
        newer = self.modules_dir / "vmlinuz"
        return newer if newer.exists() else usual

    @property
    def modules_dir(self) -> Path:
        """``/lib/modules/RELEASE`` of its packages."""
        usual = self.directory / "lib" / "modules" / self.release
        if usual.exists():
            return usual
        return self.directory / "usr" / "lib" / "modules" / self.release

    @property
    def headers(self) -> Path:
        """The folder out-of-tree modules are built against."""
        return self.directory / "usr" / "src" / f"linux-headers-{self.release}"

    @property
    def needs_root(self) -> bool:
        """Whether modules are built in the kernel's folder as the root of a system."""
        return self.suite not in _TOOLS_RUN_HERE

    @property
    def debug_dir(self) -> Path:
        """What ``/usr/lib/debug`` would be with the -dbg package installed."""
        return root() / "debug" / self.release / "usr" / "lib" / "debug"

    @property
    def vmlinux(self) -> Path:
        """The image with symbols and DWARF."""
        return self.debug_dir / "boot" / f"vmlinux-{self.release}"

    @property
    def version(self) -> tuple[int, ...]:
        """Major and minor number, for what depends on the kernel's age."""
        return tuple(int(part) for part in _parts(self.series)[0].split("."))


def _parts(series: str) -> tuple[str, str]:
    """Number and flavour of a series.

    >>> _parts("6.1"), _parts("6.1-rt-amd64")
    (('6.1', 'cloud-amd64'), ('6.1', 'rt-amd64'))
    """
    number, _, flavour = series.partition("-")
    return number, flavour or _USUAL_FLAVOUR


def _sort_key(release: str) -> list[int]:
    """Numbers of a release name, so that 6.1.0-56 comes after 6.1.0-9."""
    return [int(number) for number in re.findall(r"\d+", release.replace("deb", " "))]


def complete_releases(series: str, packages: Iterable[str]) -> list[str]:
    """Kernels of *series* with image, -dbg and headers among *packages*, newest first.

    >>> complete_releases("6.1", ["linux-image-6.1.0-9-cloud-amd64",
    ...     "linux-image-6.1.0-9-cloud-amd64-dbg", "linux-headers-6.1.0-9-cloud-amd64"])
    ['6.1.0-9-cloud-amd64']
    """
    offered = set(packages)
    number, flavour = _parts(series)
    # The plain flavour's name ends as all others' do.
    pattern = re.compile(
        rf"linux-image-({re.escape(number)}[.+~-](?!.*-\D+-{flavour}).*-{flavour})$"
    )
    matches = (pattern.match(package) for package in offered)
    releases = [match[1] for match in matches if match]
    found = [release for release in releases if set(_packages(release)) <= offered]
    return sorted(found, key=_sort_key, reverse=True)


def _packages(release: str) -> list[str]:
    image = f"linux-image-{release}"
    return [image, f"{image}-dbg", f"linux-headers-{release}"]


def _choose(series: str) -> Kernel:
    number, flavour = _parts(series)
    pattern = rf"^linux-(image|headers)-{re.escape(number)}.*{flavour}"
    reasons = []
    for name in SERIES[series]:
        suite = Suite(name)
        try:
            releases = complete_releases(series, suite.names(pattern))
        except LabUnavailable as error:
            reasons.append(str(error))
            continue
        for release in releases[:_ATTEMPTS]:
            if suite.downloadable(_packages(release)):
                return Kernel(series, release, name)
        reasons.append(f"Debian {name} offers no complete {number} {flavour} kernel now")
    raise LabUnavailable("; ".join(reasons))


def kernel(series: str) -> Kernel:
    """The kernel of *series* that is offered now; asked of the archive once a day.

    :raises LabUnavailable: none is offered, and none was.
    """
    if series not in SERIES:
        raise LabUnavailable(f"no kernel series {series!r}: the lab knows {', '.join(SERIES)}")
    record = root() / "kernels" / f"{series}.json"
    with locked(record):
        known = json.loads(record.read_text()) if record.exists() else None
        if known and time.time() - record.stat().st_mtime < _CHOICE_VALID:
            return Kernel(**known)
        try:
            chosen = _choose(series)
        except LabUnavailable:
            if known and Kernel(**known).vmlinuz.exists():
                return Kernel(**known)  # the archive is out of reach, but this one is here
            raise
        record.write_text(
            json.dumps({"series": series, "release": chosen.release, "suite": chosen.suite}),
        )
        return chosen


def kernels() -> dict[str, str]:
    """Series offered now, each with its release."""
    found = {}
    for series in SERIES:
        try:
            found[series] = kernel(series).release
        except LabUnavailable:
            continue
    return found


def fetch(chosen: Kernel, *, debug: bool = True) -> Kernel:
    """Unpack image, headers and build tools of *chosen*, and with *debug* its symbols."""
    with locked(chosen.directory):
        if not chosen.vmlinuz.exists():
            _fetch_image(chosen)
    if debug:
        target = root() / "debug" / chosen.release
        with locked(target):
            if not chosen.vmlinux.exists():
                with new_directory(target) as work:
                    Suite(chosen.suite).unpack([f"linux-image-{chosen.release}-dbg"], work)
    return chosen


def _fetch_image(chosen: Kernel) -> None:
    suite = Suite(chosen.suite)
    image, headers = f"linux-image-{chosen.release}", f"linux-headers-{chosen.release}"
    # Newer packages have put the image's files into two others.
    parts = ("linux-binary-", "linux-modules-")
    wanted = [image, *(name for name in suite.depends(image) if name.startswith(parts))]
    if chosen.needs_root:
        wanted += suite.needed([headers, *_ROOT])
    else:
        tools = ("linux-headers-", "linux-kbuild-")
        wanted += [headers, *(name for name in suite.depends(headers) if name.startswith(tools))]
    with new_directory(chosen.directory) as work:
        suite.unpack(sorted(set(wanted)), work)
        if chosen.needs_root:
            (work / "usr/bin/awk").symlink_to("mawk")  # what installing would do
            return
        for makefile in work.glob("usr/src/*/Makefile"):
            # Debian's headers name each other by absolute path.
            text = makefile.read_text()
            if text.startswith("include /usr/src/"):
                moved = text.replace("/usr/src/", f"{chosen.directory}/usr/src/")
                makefile.write_text(moved)
