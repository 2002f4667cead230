"""Where a dump goes: a folder, a device of its own, NFS or SSH."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from oopsight.kdump.errors import KdumpError


class Kind(str, enum.Enum):
    """How the capture environment writes the dump."""

    PATH = "path"
    DEVICE = "device"
    NFS = "nfs"
    SSH = "ssh"
    OTHER = "other"


@dataclass(frozen=True)
class Target:
    """A target: ``where`` is the device, ``host:/export`` or ``user@host``, ``path`` the folder."""

    kind: Kind
    path: str = "/var/crash"
    where: str = ""
    filesystem: str = ""
    key: str = ""

    @property
    def server(self) -> str | None:
        """The host name of a network target."""
        if self.kind is Kind.NFS:
            return self.where.rpartition(":")[0].strip("[]")
        if self.kind is Kind.SSH:
            return self.where.rpartition("@")[2].strip("[]")
        return None

    def __str__(self) -> str:
        if self.kind is Kind.PATH:
            return self.path
        return f"{self.kind.value}:{self.where}" + (f" ({self.path})" if self.path else "")


def parse(text: str) -> Target:
    """Read ``/var/crash``, ``device:ext4:UUID=…``, ``nfs:host:/export`` or ``ssh:user@host``.

    >>> parse("nfs:store:/export/crash").server
    'store'

    :raises KdumpError: none of these; quotes, blanks and control characters are refused, because
        the text goes into files that shells read
    """
    if re.search(r"[\s\"'`$\\;|&<>]", text) or not text.isprintable():
        raise KdumpError(f"the target {text!r} has characters that a path or host must not have", 2)
    scheme, _, rest = text.partition(":")
    if text.startswith("/"):
        return Target(Kind.PATH, path=text.rstrip("/") or "/")
    if scheme == "nfs" and re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):/.*", rest):
        return Target(Kind.NFS, where=rest)
    if scheme == "ssh" and re.fullmatch(r"[\w.-]+@(\[[0-9a-fA-F:]+\]|[\w.-]+)", rest):
        return Target(Kind.SSH, where=rest, key="/root/.ssh/kdump_id_rsa")
    filesystem, _, device = rest.partition(":")
    if scheme == "device" and filesystem and device:
        return Target(Kind.DEVICE, where=device, filesystem=filesystem)
    raise KdumpError(
        f"cannot read the target {text!r}: give /FOLDER, device:FSTYPE:DEVICE, nfs:HOST:/EXPORT "
        "or ssh:USER@HOST",
        2,
    )
