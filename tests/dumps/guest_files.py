"""What the guest's kernel said of itself in /proc a moment before it crashed."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Guest:
    """The files of one guest."""

    folder: Path

    @functools.cache  # noqa: B019  # a handful of guests, each kept for the whole run
    def text(self, name: str) -> str:
        """A file; empty where it was not there."""
        path = self.folder / name
        return path.read_text(errors="replace") if path.is_file() else ""

    def lines(self, name: str) -> list[str]:
        """Lines of a file."""
        return self.text(name).splitlines()

    @property
    def pids(self) -> list[int]:
        """Tasks of which anything was saved, those left out that were gone before the end of it."""
        found = [int(path.name) for path in self.folder.iterdir() if path.name.isdecimal()]
        return sorted(pid for pid in found if self.text(f"{pid}/stat"))

    def stat(self, pid: int) -> list[str]:
        """Fields of /proc/PID/stat behind the name: state, parent …"""
        return self.text(f"{pid}/stat").rpartition(")")[2].split()

    def status(self, pid: int) -> dict[str, str]:
        """Lines of /proc/PID/status by their titles."""
        return _titled(self.lines(f"{pid}/status"))

    def meminfo(self) -> dict[str, int]:
        """Bytes by title."""
        return {k: int(v.split()[0]) << 10 for k, v in _titled(self.lines("meminfo")).items()
                if v.endswith("kB")}  # fmt: skip

    def stack(self, pid: int) -> list[str]:
        """``function+0xoffset`` of each call, the innermost first."""
        return re.findall(r"\] (\S+)/0x", self.text(f"{pid}/stack"))


def _titled(lines: list[str]) -> dict[str, str]:
    return {
        title: rest.strip() for title, _, rest in (line.partition(":") for line in lines) if rest
    }
