"""The sections of an ELF file with debug information, decompressed; of a module, linked."""

from __future__ import annotations

import mmap
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oopsight.dump.elf import ET_CORE, ET_REL, ElfFile, MalformedElfError, Section
from oopsight.errors import SymbolError

Array = np.ndarray[Any, Any]
Bytes = bytes | memoryview

_SHT_RELA, _SHT_NOBITS = 4, 8
_SHF_ALLOC, _SHF_EXECINSTR, _SHF_COMPRESSED = 2, 4, 0x800
_ZLIB, _ZSTD = 1, 2
_COMPRESSION_HEADER = 24
_LARGEST = 4 << 30
# A module's sections get addresses of their own, this far apart: number of the section times this.
SECTION_ROOM = 1 << 32
_SYMBOL_SIZE = 24
_RELOCATION = np.dtype([("offset", "<u8"), ("kind", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])
_R_64, _R_32 = 1, 10
_WIDTHS = {_R_64: 8, _R_32: 4}


@dataclass(frozen=True)
class DebugFile:
    """A vmlinux or module file."""

    path: Path
    headers: dict[str, Section]
    """Headers by name; the last of those that bear the same."""
    relocatable: bool
    build_id: str | None
    _whole: memoryview
    _rows: list[Section]

    def __contains__(self, name: str) -> bool:
        header = self.headers.get(name)
        return header is not None and header.type != _SHT_NOBITS and header.size > 0

    def raw(self, name: str) -> Bytes:
        """Contents of a section, decompressed; nothing where there is none.

        :raises SymbolError: if they are cut off or cannot be decompressed
        """
        header = self.headers.get(name)
        if header is None or header.type == _SHT_NOBITS:
            return b""
        data = self._whole[header.offset : header.offset + header.size]
        if len(data) != header.size:
            raise SymbolError(f"{self.path}: cut off within {name}")
        return self._decompressed(name, data) if header.flags & _SHF_COMPRESSED else data

    def linked(self, name: str) -> Bytes:
        """As :meth:`raw`; of a module, with the relocations of the section carried out."""
        data, relocations = self.raw(name), f".rela{name}"
        if not self.relocatable or relocations not in self:
            return data
        rows = np.frombuffer(self.raw(relocations), np.uint8)
        rows = rows[: len(rows) // _RELOCATION.itemsize * _RELOCATION.itemsize].view(_RELOCATION)
        return _relocate(bytearray(data), rows, self._symbol_values())

    def _decompressed(self, name: str, data: memoryview) -> bytes:
        kind, size = (int.from_bytes(data[at : at + 8], "little") for at in (0, 8))
        kind &= 0xFFFFFFFF
        packed = data[_COMPRESSION_HEADER:]
        try:
            if size <= _LARGEST and kind == _ZLIB:
                return zlib.decompressobj().decompress(packed, size)
            if size <= _LARGEST and kind == _ZSTD:
                import zstandard

                try:
                    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
                except zstandard.ZstdError as error:
                    raise SymbolError(f"{self.path}: {name}: {error}") from None
        except zlib.error as error:
            raise SymbolError(f"{self.path}: {name}: {error}") from None
        raise SymbolError(f"{self.path}: {name} is compressed in a way that is not known here")

    def _symbol_values(self) -> Array:
        """Where each symbol lies, by the addresses that the sections were given."""
        table = np.frombuffer(self.raw(".symtab"), np.uint8)
        table = table[: len(table) // _SYMBOL_SIZE * _SYMBOL_SIZE].reshape(-1, _SYMBOL_SIZE)
        section = table[:, 6:8].copy().view("<u2")[:, 0].astype(np.uint64)
        value = table[:, 8:16].copy().view("<u8")[:, 0]
        flags = np.zeros(1 << 16, np.uint64)
        for number, row in enumerate(self._rows):
            # Debug sections refer to each other by offset: those stay at 0.
            flags[number] = number if row.flags & _SHF_ALLOC else 0
        result: Array = value + flags[section] * np.uint64(SECTION_ROOM)
        return result

    def executable(self) -> Array:
        """Of each section number whether it holds code, ``bool``."""
        flags = np.zeros(1 << 16, bool)
        flags[: len(self._rows)] = [row.flags & _SHF_EXECINSTR != 0 for row in self._rows]
        return flags

    def section_of(self, address: int) -> tuple[str, int]:
        """Name of the section, and offset in it, of a place in a module."""
        number = address // SECTION_ROOM
        return self._rows[number].name, address % SECTION_ROOM


def _relocate(data: bytearray, rows: Array, symbols: Array) -> bytes:
    target = np.frombuffer(data, np.uint8)
    for kind, width in _WIDTHS.items():
        chosen = rows[rows["kind"] == kind]
        chosen = chosen[
            (chosen["offset"] + np.uint64(width) <= len(target)) & (chosen["symbol"] < len(symbols))
        ]
        value = symbols[chosen["symbol"]] + chosen["addend"].view("<u8")
        raw = value.astype(f"<u{width}").view(np.uint8).reshape(-1, width)
        target[chosen["offset"].astype(np.int64)[:, None] + np.arange(width)] = raw
    return bytes(data)


def is_object_file(path: Path) -> bool:
    """Whether it is an ELF file of code, such as a vmlinux or a module, and no dump."""
    try:
        with path.open("rb") as file:
            return ElfFile(file).type != ET_CORE
    except (OSError, MalformedElfError):
        return False


def open_debug_file(path: Path) -> DebugFile:
    """Map a file and read its headers.

    :raises SymbolError: if it cannot be read or is no ELF file
    """
    try:
        with path.open("rb") as file:
            elf = ElfFile(file)
            rows = elf.sections()
            build_id, relocatable, order = elf.build_id(), elf.type == ET_REL, elf.little_endian
            whole = memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
    except MalformedElfError as error:
        raise SymbolError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:
        raise SymbolError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if not order or elf.machine != "x86_64":
        raise SymbolError(f"{path}: packs are made of x86-64 files only")
    headers = {row.name: row for row in rows}
    return DebugFile(path, headers, relocatable, build_id, whole, rows)
