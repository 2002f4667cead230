"""The host that is looked at: its files through :class:`Root`, everything else through a probe.

A file is replaced by writing a hidden file beside it, syncing it, and renaming it: whoever looks,
before or after a loss of power, sees the old content or the new one, never a part. The hidden
name ends in none of the suffixes by which GRUB, systemd, sysctl and the Boot Loader Specification
pick up files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from oopsight.kdump.errors import KdumpError

MAX_READ = 64 << 20
PIECE = 64 << 10
TEMPORARY = ".oopsight-new"
MAX_LINKS = 16


class Root:
    """A file tree in which every path is absolute and symbolic links stay inside.

    :param directory: ``/`` for the machine that runs, any folder for another host's tree
    """

    def __init__(self, directory: Path | str = "/") -> None:
        self.directory = Path(directory)

    @property
    def is_live(self) -> bool:
        """Whether this is the running machine's own tree."""
        return self.directory.resolve() == Path("/")

    def locate(self, path: str) -> Path:
        """Return where a path of the host is, all symbolic links on the way resolved inside.

        :raises KdumpError: more than 16 links on the way
        """
        todo = [part for part in reversed(PurePosixPath(path).parts) if part != "/"]
        here: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part == "..":
                del here[-1:]
                continue
            step = self.directory.joinpath(*here, part)
            if not step.is_symlink():
                here.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise KdumpError(f"too many symbolic links in {path}")
            target = PurePosixPath(step.readlink())
            if target.is_absolute():
                here = []
            todo += [part for part in reversed(target.parts) if part != "/"]
        return self.directory.joinpath(*here)

    def resolve(self, path: str) -> str:
        """Return the host's own name of a path, all symbolic links on the way followed."""
        return "/" + self.locate(path).relative_to(self.directory).as_posix()

    def exists(self, path: str) -> bool:
        """Whether the path leads to something."""
        return self.locate(path).exists()

    def is_link(self, path: str) -> bool:
        """Whether the path itself is a symbolic link, be it dangling."""
        pure = PurePosixPath(path)
        return (self.locate(str(pure.parent)) / pure.name).is_symlink()

    def read_bytes(self, path: str) -> bytes | None:
        """Return a file's content, 64 MiB at most; ``None`` if it cannot be read."""
        try:
            with self.locate(path).open("rb") as file:
                # In pieces: files of /proc/sys refuse to be read with a buffer of many megabytes.
                content = bytearray()
                while len(content) < MAX_READ and (piece := file.read(PIECE)):
                    content += piece
                return bytes(content)
        except OSError:
            return None

    def read_prefix(self, path: str, length: int) -> bytes:
        """Return the first bytes of a file or device; fewer, or none, if they cannot be read."""
        try:
            with self.locate(path).open("rb") as file:
                return file.read(length)
        except OSError:
            return b""

    def read(self, path: str) -> str | None:
        """Return a file's text; ``None`` if it cannot be read."""
        content = self.read_bytes(path)
        return None if content is None else content.decode("utf-8", "surrogateescape")

    def read_int(self, path: str) -> int | None:
        """Return the number that a file of ``/proc`` or ``/sys`` holds, or ``None``."""
        try:
            return int((self.read(path) or "").split()[0], 0)
        except (IndexError, ValueError):
            return None

    def modified(self, path: str) -> float | None:
        """Return when a file was last written, seconds since the epoch; ``None`` if it is gone."""
        try:
            return self.locate(path).stat().st_mtime
        except OSError:
            return None

    def glob(self, pattern: str) -> list[str]:
        """Return the host's paths that match an absolute pattern, sorted."""
        # The fixed part may lead through links; the rest of the pattern is taken as it stands.
        parts = PurePosixPath(pattern).parts[1:]
        fixed = 0
        while fixed < len(parts) and not any(c in parts[fixed] for c in "*?["):
            fixed += 1
        if fixed == len(parts):
            return [pattern] if self.exists(pattern) else []
        base = "/" + "/".join(parts[:fixed])
        folder = self.locate(base)
        found = folder.glob("/".join(parts[fixed:])) if folder.is_dir() else []
        return sorted(str(PurePosixPath(base) / path.relative_to(folder)) for path in found)

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Replace a file as a whole, keeping mode, owner and extended attributes of the old one.

        :param mode: permissions of a file that did not exist
        :raises KdumpError: it cannot be written
        """
        place = self.locate(path)
        temporary = place.with_name(f".{place.name}{TEMPORARY}")
        try:
            self._make_folder(place.parent)
            self._step(f"create {path}")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                self._step(f"fill {path}")
                file.write(content)
                _copy_metadata(place, file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            self._step(f"rename {path}")
            temporary.replace(place)
            _sync_folder(place.parent)
        except OSError as error:
            raise KdumpError(f"cannot write {path}: {error.strerror}", 6) from error

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link, in place of whatever file or link has the name.

        :raises KdumpError: it cannot be made
        """
        place = self.directory / path.lstrip("/")
        temporary = place.with_name(f".{place.name}{TEMPORARY}")
        try:
            self._make_folder(place.parent)
            self._step(f"link {path}")
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(target)
            temporary.replace(place)
            _sync_folder(place.parent)
        except OSError as error:
            raise KdumpError(f"cannot make the link {path}: {error.strerror}", 6) from error

    def read_link(self, path: str) -> str | None:
        """Return where the link points, ``None`` if it is none."""
        try:
            return str((self.directory / path.lstrip("/")).readlink())
        except OSError:
            return None

    def remove(self, path: str) -> None:
        """Remove a file or link, if it is there.

        :raises KdumpError: it cannot be removed
        """
        place = self.directory / path.lstrip("/")
        try:
            self._step(f"remove {path}")
            place.unlink(missing_ok=True)
            if place.parent.is_dir():
                _sync_folder(place.parent)
        except OSError as error:
            raise KdumpError(f"cannot remove {path}: {error.strerror}", 6) from error

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._step(f"make {folder}")
            folder.mkdir(parents=True, exist_ok=True)

    def _step(self, what: str) -> None:
        """Is called before each elementary change; the tests cut the power here."""


def _copy_metadata(old: Path, descriptor: int, mode: int) -> None:
    if not old.exists():
        os.fchmod(descriptor, mode)
        return
    status = old.stat()
    os.fchmod(descriptor, status.st_mode & 0o7777)
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, status.st_uid, status.st_gid)
    # SELinux labels above all: a mislabelled file is one that the services may not read.
    with contextlib.suppress(OSError):
        for name in os.listxattr(old):
            os.setxattr(descriptor, name, os.getxattr(old, name))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Ran:
    """What a program did: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


class Probe(Protocol):
    """What no file tells. Every answer may be ``None``: it cannot be known from here."""

    def free_bytes(self, path: str) -> int | None:
        """Bytes that root may still write below the path."""

    def connects(self, host: str, port: int) -> bool | None:
        """Whether a TCP connection is accepted within three seconds."""

    def run(self, argv: Sequence[str], timeout: float = 600) -> Ran | None:
        """Run a program on the host."""


class LiveProbe:
    """Asks the running machine."""

    def free_bytes(self, path: str) -> int | None:
        """Bytes free for root below the path, or below its nearest folder that exists."""
        place = Path(path)
        while not place.exists():
            place = place.parent
        try:
            status = os.statvfs(place)
        except OSError:
            return None
        return status.f_bfree * status.f_frsize

    def connects(self, host: str, port: int) -> bool | None:
        """Whether a TCP connection is accepted within three seconds."""
        try:
            with socket.create_connection((host, port), timeout=3):
                return True
        except OSError:
            return False

    def run(self, argv: Sequence[str], timeout: float = 600) -> Ran | None:
        """Run a program; ``None`` if it is not installed or takes too long."""
        program = shutil.which(argv[0], path="/usr/sbin:/usr/bin:/sbin:/bin")
        if program is None:
            return None
        try:
            done = subprocess.run(
                [program, *argv[1:]],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return Ran(done.returncode, done.stdout, done.stderr)


class NoProbe:
    """Answers nothing: the tree is not the machine that runs."""

    def free_bytes(self, path: str) -> int | None:  # noqa: ARG002 - the protocol's shape
        """Unknown."""
        return None

    def connects(self, host: str, port: int) -> bool | None:  # noqa: ARG002 - as above
        """Unknown."""
        return None

    def run(self, argv: Sequence[str], timeout: float = 600) -> Ran | None:  # noqa: ARG002 - as above
        """Nothing is run."""
        return None
