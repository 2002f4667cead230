"""A module's source lines and inlined calls, as a relocatable file of its own within a pack.

It bears the module's build ID. Where its sections lay in memory the dump tells.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from oopsight.errors import SymbolError
from oopsight.symbols.pack.debuginfo import line_units
from oopsight.symbols.pack.debuginfo.line_units import LineUnits
from oopsight.symbols.pack.debuginfo.read import add_units
from oopsight.symbols.pack.debuginfo.sections import DebugFile, open_debug_file
from oopsight.symbols.pack.elf_image import (
    ET_REL,
    SHF_ALLOC,
    SHT_NOBITS,
    SHT_RELA,
    SHT_STRTAB,
    SHT_SYMTAB,
    Part,
    build_id_part,
    elf_image,
)

_R_X86_64_64 = 1
_STT_SECTION = 3
_SYMBOL_SIZE = 24
_MOST_MODULES = 20_000


@dataclass(frozen=True)
class ModuleImage:
    """What a pack holds of one module."""

    name: str
    build_id: str
    image: bytes


def module_image(path: Path) -> ModuleImage | None:
    """Make the image of a module's file; ``None`` where it has no debug information.

    :raises SymbolError: if the file is damaged
    """
    file = open_debug_file(path)
    if not file.relocatable or not file.build_id or ".debug_info" not in file:
        return None
    try:
        image = _image(file, file.build_id)
    except (ArithmeticError, LookupError, MemoryError, ValueError) as error:
        raise SymbolError(f"{path}: is damaged: {type(error).__name__}: {error}") from None
    return ModuleImage(_name(file), file.build_id, image)


def release_of(file: DebugFile) -> str | None:
    """The kernel that a module was made for."""
    match = re.search(rb"(?:^|\0)vermagic=([^ \0]+)", bytes(file.raw(".modinfo")))
    return match[1].decode("ascii", "replace") if match else None


def _name(file: DebugFile) -> str:
    match = re.search(rb"(?:^|\0)name=([^\0]+)", bytes(file.raw(".modinfo")))
    return match[1].decode("ascii", "replace") if match else file.path.name.partition(".")[0]


def _image(file: DebugFile, build_id: str) -> bytes:
    strings = bytearray(b"\0")
    known: dict[bytes, int] = {}

    def string(text: bytes) -> int:
        nonlocal strings
        if text not in known:
            known[text] = len(strings)
            strings += text + b"\0"
        return known[text]

    units = LineUnits(string)
    add_units(units, file)
    debug = {
        ".debug_info": bytes(units.info),
        ".debug_abbrev": line_units.abbreviations(),
        ".debug_str": bytes(strings),
        **dict(units.sections(0)),
    }
    places = {
        section: [(at, *file.section_of(address)) for at, address in rows]
        for section, rows in units.relocations.items()
    }
    used = sorted({name for rows in places.values() for _, name, _ in rows})
    parts = [build_id_part(build_id)]
    parts += [
        Part(
            name,
            b"",
            SHT_NOBITS,
            flags=SHF_ALLOC,
            align=max(file.headers[name].align, 1),
            size=file.headers[name].size,
        )
        for name in used
    ]
    number = {name: at for at, name in enumerate(used, 1)}
    parts += [Part(name, data) for name, data in debug.items()]
    index = {part.name: at for at, part in enumerate(parts, 1)}
    parts.append(_symbols(index, used))
    parts.append(Part(".strtab", b"\0", SHT_STRTAB))
    parts += [
        Part(
            f".rela{section}",
            b"".join(
                struct.pack("<QIIq", at, _R_X86_64_64, number[name], offset)
                for at, name, offset in rows
            ),
            SHT_RELA,
            link=".symtab",
            info=index[section],
            entry_size=_SYMBOL_SIZE,
            align=8,
        )
        for section, rows in places.items()
    ]
    return elf_image(parts, None, kind=ET_REL)


def _symbols(index: dict[str, int], used: list[str]) -> Part:
    """One symbol for each section, to which the relocations refer."""
    rows = [bytes(_SYMBOL_SIZE)]
    rows += [struct.pack("<IBBHQQ", 0, _STT_SECTION, 0, index[name], 0, 0) for name in used]
    return Part(
        ".symtab",
        b"".join(rows),
        SHT_SYMTAB,
        link=".strtab",
        info=len(rows),
        entry_size=_SYMBOL_SIZE,
        align=8,
    )


def module_images(files: list[Path], directory: Path | None, release: str) -> list[ModuleImage]:
    """Images of the modules given, and of those of a kernel under a directory.

    :param release: ``uname -r``; modules under the directory that were made for another are passed
        over
    :raises SymbolError: if a file given has no debug information, or is damaged
    """
    found: dict[str, ModuleImage] = {}
    for path in files:
        image = module_image(path)
        if image is None:
            raise SymbolError(f"{path}: a module's file without debug information or build ID")
        found[image.build_id] = image
    if directory is None:
        return list(found.values())
    for path in sorted((*directory.rglob("*.ko"), *directory.rglob("*.ko.debug")))[:_MOST_MODULES]:
        try:
            file = open_debug_file(path)
            if release_of(file) != release or file.build_id in found:
                continue
            image = module_image(path)
        except SymbolError:
            continue  # of several kernels, stripped, cut off: what can be had is taken
        if image is not None:
            found[image.build_id] = image
    return list(found.values())
