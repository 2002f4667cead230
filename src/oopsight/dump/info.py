"""The plain facts about a dump file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from oopsight.cheap import dataclass, field

_IMAGE = 0xFFFFFFFF80000000  # __START_KERNEL_map
_IMAGE_SIZE = 1 << 30


class VmcoreInfo(Mapping[str, str]):
    r"""The kernel's VMCOREINFO note: ``KEY=value`` lines which describe the crashed kernel.

    >>> info = VmcoreInfo(b"OSRELEASE=6.1.0\nSYMBOL(_stext)=ffffffff81000000")
    >>> info["OSRELEASE"], hex(info.symbol("_stext"))
    ('6.1.0', '0xffffffff81000000')
    >>> info.symbol("absent") is None
    True
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._values: dict[str, str] = {}
        for line in raw.split(b"\n"):
            key, separator, value = line.partition(b"=")
            if separator:
                self._values[key.decode("ascii", "replace")] = value.decode("ascii", "replace")

    def __getitem__(self, key: str) -> str:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def _hex(self, key: str) -> int | None:
        try:
            return int(self._values[key], 16)
        except (KeyError, ValueError):
            return None

    def symbol(self, name: str) -> int | None:
        """Run-time address of an exported symbol, or ``None``."""
        return self._hex(f"SYMBOL({name})")

    def image_physical(self, address: int) -> int | None:
        """Physical address of an x86-64 address in the kernel's image; ``None`` for any other.

        Documentation/arch/x86/x86_64/mm.rst: the image is mapped in one piece.

        >>> VmcoreInfo(b"NUMBER(phys_base)=4096").image_physical(0xFFFFFFFF80000010)
        4112
        """
        base = self.get("NUMBER(phys_base)", "")
        if not base.removeprefix("-").isdigit() or not _IMAGE <= address < _IMAGE + _IMAGE_SIZE:
            return None
        return address - _IMAGE + int(base)

    @property
    def build_id(self) -> str | None:
        """GNU build ID of vmlinux in lower-case hex, in the note since Linux 5.9."""
        value = self._values.get("BUILD-ID", "").lower()
        return value or None

    @property
    def kaslr_offset(self) -> int | None:
        """Bytes by which KASLR moved the kernel image; ``None`` where the note is silent."""
        return self._hex("KERNELOFFSET")

    @property
    def crash_time(self) -> int | None:
        """Seconds since the epoch; absent where the dump was not made by a panic."""
        try:
            return int(self._values["CRASHTIME"])
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True)
class DumpInfo:
    """What a dump file is, read from its headers alone."""

    path: Path
    format: str
    """``elf``, ``kdump-compressed`` or ``kdump-flattened``."""
    size: int
    """Bytes on disk."""
    machine: str | None
    """``x86_64``, ``aarch64`` …; ``None`` where the headers do not say."""
    vmcoreinfo: VmcoreInfo = field(repr=False, default_factory=lambda: VmcoreInfo(b""))
    recovered: bool = False
    """Whether the file lacks that note, and it was found in the memory."""
    memory: tuple[tuple[int, int], ...] = ()
    """Ranges of the machine's memory, physical address and bytes, within which all is that the
    file holds."""
    compression: str | None = None
    dump_level: int | None = None
    """makedumpfile's ``-d``: which kinds of pages were left out, ``None`` where unknown."""
    minicore: bool = False
    """Whether it holds only the pages that an analysis of the whole dump has read."""
    problems: tuple[str, ...] = ()
    """Why the file is less than a whole dump, a clause each; empty for a complete one."""

    @property
    def complete(self) -> bool:
        """Whether every page that the headers announce is in the file."""
        return not self.problems

    @property
    def release(self) -> str | None:
        """The kernel's release, ``uname -r``."""
        return self.vmcoreinfo.get("OSRELEASE")

    @property
    def build_id(self) -> str | None:
        """GNU build ID of the crashed kernel's vmlinux."""
        return self.vmcoreinfo.build_id
