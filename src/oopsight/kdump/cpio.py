"""Initial RAM disks, written: cpio archives in the "newc" format.

Format: Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from pathlib import PurePosixPath

ALIGNMENT = 4


class Archive:
    """A file tree owned by root, in memory."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[int, bytes]] = {}

    def folder(self, path: str) -> None:
        """Add a folder and those above it."""
        for parent in (*reversed(PurePosixPath(path.strip("/")).parents), path.strip("/")):
            if str(parent) not in {".", ""}:
                self._entries.setdefault(str(parent), (stat.S_IFDIR | 0o755, b""))

    def file(self, path: str, content: bytes, mode: int = 0o755) -> None:
        """Add a file, and the folders that it is in."""
        self.folder(str(PurePosixPath(path).parent))
        self._entries[path.strip("/")] = (stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self.folder(str(PurePosixPath(path).parent))
        self._entries[path.strip("/")] = (stat.S_IFLNK | 0o777, target.encode())

    def to_bytes(self) -> bytes:
        """The archive, uncompressed."""
        out = bytearray()
        for number, (path, (mode, content)) in enumerate(self._entries.items(), 1):
            out += _member(path, number, mode, content)
        return bytes(out + _member("TRAILER!!!", 0, 0, b""))


def _member(path: str, number: int, mode: int, content: bytes) -> bytes:
    name = path.encode() + b"\0"
    # Inode, mode, owner, group, links, time, size, four device numbers, length of the name, sum.
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % value for value in fields) + name
    return _padded(header) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)
