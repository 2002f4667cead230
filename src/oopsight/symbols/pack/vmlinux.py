"""Make a pack of a vmlinux with debug information: with source lines and inlined calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np

from oopsight.errors import SymbolError
from oopsight.symbols import lookup, module_store
from oopsight.symbols.lookup import KERNEL_IMAGE
from oopsight.symbols.pack import shapes
from oopsight.symbols.pack.assemble import functions, image, landmarks, per_cpu_variables
from oopsight.symbols.pack.btf import parse_btf
from oopsight.symbols.pack.debuginfo import line_units
from oopsight.symbols.pack.debuginfo.functions import Variable
from oopsight.symbols.pack.debuginfo.line_units import LineUnits
from oopsight.symbols.pack.debuginfo.read import add_units
from oopsight.symbols.pack.debuginfo.sections import DebugFile, open_debug_file
from oopsight.symbols.pack.debuginfo.type_words import TypeWords
from oopsight.symbols.pack.dwarf import Writer
from oopsight.symbols.pack.elf_image import SHF_ALLOC, Part
from oopsight.symbols.pack.elf_symbols import read_symbols
from oopsight.symbols.pack.module_image import ModuleImage, module_images
from oopsight.symbols.pack.symbols import Table, symbol_parts
from oopsight.symbols.pack.variables import Resolver

_ORC = (".orc_unwind_ip", ".orc_unwind", ".orc_header")
_FRAMES = ".debug_frame"


def pack_of_vmlinux(files: Sequence[Path], directory: Path | None = None) -> tuple[str, bytes]:
    """Make the pack.

    :param files: the vmlinux, and files of modules
    :param directory: where more modules are; those made for another kernel are passed over
    :return: its build ID, and the pack
    :raises SymbolError: if a file lacks a part, which the message names
    """
    opened = [open_debug_file(path) for path in files]
    kernels = [file for file in opened if not file.relocatable]
    if len(kernels) != 1:
        names = ", ".join(str(file.path) for file in kernels) or "none"
        raise SymbolError(f"a pack is made of one vmlinux, and {names} was given")
    kernel, modules = kernels[0], [file.path for file in opened if file.relocatable]
    try:
        return _pack(kernel, module_images(modules, directory, _release(kernel)))
    except (ArithmeticError, LookupError, MemoryError, ValueError) as error:
        raise SymbolError(f"{kernel.path}: is damaged: {type(error).__name__}: {error}") from None


def _release(kernel: DebugFile) -> str:
    """``uname -r``, from the banner that every kernel holds."""
    match = re.search(rb"Linux version (\S+)", bytes(kernel.raw(".rodata")))
    return match[1].decode("ascii", "replace") if match else ""


def _pack(file: DebugFile, modules: Sequence[ModuleImage]) -> tuple[str, bytes]:
    if not file.build_id:
        raise SymbolError(f"{file.path}: has no build ID, by which a pack is found again")
    if ".BTF" not in file:
        raise SymbolError(
            f"{file.path}: holds no BTF, from which a pack has its types; "
            "a kernel has it with CONFIG_DEBUG_INFO_BTF, and a file only while it is not stripped"
        )
    kallsyms, sizes = read_symbols(file)
    table = Table(kallsyms, 0, sizes)
    types = parse_btf(bytes(file.raw(".BTF")))
    writer = Writer(types)
    resolver = Resolver(types, writer)
    listed = per_cpu_variables(writer, types, table)
    functions(writer, types, table)

    def string(text: bytes) -> int:
        found = resolver.string_at.get(text)
        return writer.string(text.decode("utf-8", "replace")) if found is None else found

    units = LineUnits(string, len(shapes.abbreviations()))
    dwarf, variables = add_units(units, file)
    untyped = _add_variables(
        writer, resolver, TypeWords(dwarf), _unlisted(variables, table, listed)
    )
    sections = writer.sections()
    at = len(sections[".debug_info"])
    sections[".debug_info"] += bytes(units.info)
    sections[".debug_abbrev"] += line_units.abbreviations()
    parts = [
        *landmarks(table, file.build_id),
        *(Part(name, data) for name, data in sections.items()),
        *(Part(name, data) for name, data in units.sections(at)),
        *_unwinding(file),
        *symbol_parts(table),
        Part(lookup.UNTYPED, "\n".join(untyped).encode()),
        Part(module_store.SECTION, module_store.packed(astuple(module) for module in modules)),
    ]
    return file.build_id, image(table, parts)


def _unlisted(variables: Sequence[Variable], table: Table, listed: set[int]) -> Iterator[Variable]:
    """Variables that BTF does not list, as it does per-CPU ones since Linux 5.11 or so."""
    for variable in variables:
        if variable.address in listed:
            continue
        # What the linker left out has an address that is none, such as 0.
        known = (
            variable.address >= KERNEL_IMAGE
            or variable.address
            == (table.find(variable.name.decode("utf-8", "replace")) or (-1,))[0]
        )
        if known:
            yield variable


def _add_variables(
    writer: Writer, resolver: Resolver, words: TypeWords, variables: Iterator[Variable]
) -> list[str]:
    """Write variables with the types that they have; return the names of those left out."""
    names, places, at = [], [], []
    known, unknown = set(), set()
    for variable in variables:
        text = words.words(variable.type_at)
        kind = resolver.resolve(text) if text else None
        name = variable.name.decode("utf-8", "replace")
        if kind is None:
            unknown.add(name)
            continue
        known.add(name)
        offset = resolver.string_at.get(variable.name)
        names.append(writer.string(name) if offset is None else offset)
        places.append(kind[0])
        at.append(variable.address)
    writer.add_variables(names, places, np.array(at, np.uint64))
    return sorted(unknown - known)


def _unwinding(file: DebugFile) -> Iterator[Part]:
    """ORC; of a kernel without it, the compiler's own call frame information."""
    for name in _ORC:
        if name in file:
            data, address = bytes(file.raw(name)), file.headers[name].address
            yield Part(name, data, flags=SHF_ALLOC, address=address, align=4)
    if _ORC[0] not in file and _FRAMES in file:
        yield Part(_FRAMES, bytes(file.raw(_FRAMES)), align=8)
