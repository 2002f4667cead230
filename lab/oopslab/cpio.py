"""Initial RAM disks: archives in cpio's "newc" format, written without cpio or root.

Format: Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath


@dataclass
class Archive:
    """A file tree owned by root, built in memory."""

    _entries: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # path: (mode, content)

    def directory(self, path: str) -> None:
        """Add the folder *path* and those above it."""
        parts = PurePosixPath(path.strip("/")).parts
        for end in range(1, len(parts) + 1):
            self._entries.setdefault("/".join(parts[:end]), (stat.S_IFDIR | 0o755, b""))

    def file(self, path: str, content: bytes | str | Path, mode: int = 0o644) -> None:
        """Add a file with *content*, or with that of a file of this machine."""
        self.directory(str(PurePosixPath(path).parent))
        if isinstance(content, Path):
            content = content.read_bytes()
        elif isinstance(content, str):
            content = content.encode()
        self._entries[path.strip("/")] = (stat.S_IFREG | mode, content)

    def symlink(self, path: str, target: str) -> None:
        """Add a symbolic link at *path* which leads to *target*."""
        self.directory(str(PurePosixPath(path).parent))
        self._entries[path.strip("/")] = (stat.S_IFLNK | 0o777, target.encode())

    def tree(self, source: Path) -> None:
        """Add all files under *source*; those with a ``#!`` line become executable."""
        for path in sorted(source.rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                mode = 0o755 if content.startswith(b"#!") else 0o644
                self.file(str(path.relative_to(source)), content, mode)

    def to_bytes(self) -> bytes:
        """The archive, uncompressed: unpacking costs an emulated guest more than reading."""
        out = bytearray()
        for number, (path, (mode, content)) in enumerate(self._entries.items(), start=1):
            out += _member(path, number, mode, content)
        out += _member("TRAILER!!!", 0, 0, b"")
        return bytes(out)


def _member(path: str, number: int, mode: int, content: bytes) -> bytes:
    links = 2 if stat.S_ISDIR(mode) else 1
    name = path.encode() + b"\0"
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % value for value in fields) + name
    return _padded(header) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
