"""One file per distribution: where it keeps what, and how it is told to make dumps.

A file in this folder that defines ``DISTRO`` is found by its place. What is asked of it is
:class:`Distro`; families share by inheritance.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache

from oopsight.kdump import textfiles
from oopsight.kdump.errors import KdumpError
from oopsight.kdump.host import Root
from oopsight.kdump.target import Target

UNIT_FOLDERS = ("/usr/lib/systemd/system", "/lib/systemd/system")


@dataclass(frozen=True)
class Wanted:
    """What setup is to bring about: the ``crashkernel=`` value and the target."""

    crashkernel: str
    target: Target


@dataclass(frozen=True)
class Command:
    """A program that setup runs; ``rewrites`` are the files it makes anew, kept for undo."""

    argv: tuple[str, ...]
    rewrites: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaptureSystem:
    """What kexec loads for a panic: files of the host, and the capture kernel's command line."""

    kernel: str
    initrd: str
    command_line: str


class Distro(ABC):
    """What a distribution must tell. Paths are the host's, absolute."""

    ids: tuple[str, ...]
    packages: tuple[str, ...]
    installer: tuple[str, ...]
    service: str
    config: str
    # Whether the capture environment leaves its initrd for the host's root file system.
    captures_in_root = False

    @abstractmethod
    def target(self, root: Root) -> Target:
        """The configured target."""

    @abstractmethod
    def dump_level(self, root: Root) -> int:
        """The configured ``-d`` of makedumpfile."""

    @abstractmethod
    def compression(self, root: Root) -> str | None:
        """The compression that makedumpfile is told to use: zlib, lzo, snappy, zstd, or none."""

    @abstractmethod
    def rebuild(self, kernel: str) -> str:
        """The command line that builds the capture initrd anew."""

    @abstractmethod
    def capture_command_line(self, root: Root, line: str) -> str:
        """The capture kernel's command line, made of the running one."""

    @abstractmethod
    def capture_initrds(self, kernel: str) -> tuple[str, ...]:
        """Places where the capture initrd of a kernel may be, the likeliest first."""

    @abstractmethod
    def sources(self, root: Root) -> dict[str, str]:
        """The kernel command line by the file in which an admin sets it."""

    @abstractmethod
    def boot_lines(self, root: Root) -> dict[str, str]:
        """The kernel command lines that the boot loader will really use, by where they stand."""

    @abstractmethod
    def edits(self, root: Root, wanted: Wanted) -> dict[str, str]:
        """The files to be changed, with their whole new text."""

    @abstractmethod
    def commands(self, root: Root) -> tuple[Command, ...]:
        """What must be run after the files are written."""

    def effective_line(self, root: Root) -> str | None:  # noqa: ARG002 - only some tell
        """The command line that all sources together make; ``None`` if that is not known."""
        return None

    def knows_auto(self, kernel: str) -> bool:  # noqa: ARG002 - a patch of one vendor
        """Whether the kernel understands ``crashkernel=auto``; upstream's never did."""
        return False

    def packed(self, root: Root) -> str | None:  # noqa: ARG002 - only Debian's can be
        """The program that packs a finished dump as a whole, so that nothing reads it as it is."""
        return None

    def switched_off(self, root: Root) -> str | None:  # noqa: ARG002 - only some can be
        """Say by which setting kdump is off although its service is enabled."""
        return None

    def capture_initrd(self, root: Root, kernel: str) -> str | None:
        """The capture initrd of a kernel that exists."""
        return next((path for path in self.capture_initrds(kernel) if root.exists(path)), None)

    def capture_kernels(self, kernel: str) -> tuple[str, ...]:
        """Places where the capture kernel may be, the likeliest first."""
        return (f"/boot/vmlinuz-{kernel}", f"/usr/lib/modules/{kernel}/vmlinuz")

    def capture_system(self, root: Root, kernel: str, line: str) -> CaptureSystem:
        """What a panic of the kernel would start.

        :raises KdumpError: its kernel or initrd is not there
        """
        image = next((path for path in self.capture_kernels(kernel) if root.exists(path)), None)
        initrd = self.capture_initrd(root, kernel)
        if image is None or initrd is None:
            missing = "kernel" if image is None else "initrd"
            raise KdumpError(f"there is no capture {missing} for {kernel}: see kdump status")
        return CaptureSystem(image, initrd, self.capture_command_line(root, line))

    def unit_installed(self, root: Root) -> bool:
        """Whether the service's unit file is there."""
        return any(root.exists(f"{folder}/{self.service}") for folder in UNIT_FOLDERS)

    def unit_masked(self, root: Root) -> bool:
        """Whether an admin forbade the service."""
        return root.read_link(f"/etc/systemd/system/{self.service}") == "/dev/null"

    def unit_enabled(self, root: Root) -> bool:
        """Whether some target starts the service at boot."""
        # Not a pattern that ends in the name: a link that leads out of the tree counts as well.
        links = root.glob("/etc/systemd/system/*.wants/*")
        return any(path.endswith("/" + self.service) for path in links)


def grub_lines(root: Root, path: str) -> dict[str, str]:
    """Return the kernel command lines of a ``grub.cfg``, rescue entries left out."""
    lines = {}
    for number, line in enumerate((root.read(path) or "").splitlines(), 1):
        match = re.match(r"\s*linux(?:16|efi)?\s+(\S+)\s+(.*)", line)
        if match and not re.search(r"(?<!\S)(single|recovery|nomodeset)(?!\S)", match[2]):
            lines[f"{path}:{number}"] = match[2]
    return lines


@cache
def all_distros() -> tuple[Distro, ...]:
    """Every distribution that has a file here."""
    found = []
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        found.append(module.DISTRO)
    return tuple(found)


def detect(root: Root) -> Distro:
    """Find the distribution by ``ID``, then by ``ID_LIKE``, of ``os-release``.

    :raises KdumpError: none of those known
    """
    text = root.read("/etc/os-release") or root.read("/usr/lib/os-release") or ""
    values = textfiles.shell_values(text)
    for name in [values.get("ID", ""), *values.get("ID_LIKE", "").split()]:
        for distro in all_distros():
            if name in distro.ids:
                return distro
    raise KdumpError(
        f"the distribution {values.get('ID', '(no /etc/os-release)')!r} is not known; known are "
        + ", ".join(distro.ids[0] for distro in all_distros())
    )
