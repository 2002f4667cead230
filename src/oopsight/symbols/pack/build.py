"""Make a pack of the kernel from a dump's memory."""

from __future__ import annotations

from oopsight.dump.info import VmcoreInfo
from oopsight.errors import SymbolError
from oopsight.symbols import lookup
from oopsight.symbols.pack.assemble import functions, image, landmarks, per_cpu_variables
from oopsight.symbols.pack.btf import parse_btf
from oopsight.symbols.pack.dwarf import Writer
from oopsight.symbols.pack.elf_image import SHF_ALLOC, Part
from oopsight.symbols.pack.kallsyms import NoKallsymsError, Read, named_places, read_kallsyms
from oopsight.symbols.pack.kallsyms_search import search
from oopsight.symbols.pack.symbols import Table, symbol_parts
from oopsight.symbols.pack.variables import add_variables

_LARGEST_SECTION = 128 << 20
_NAMED_IN_BOTH = ("_stext", "init_uts_ns")


class NoTypesError(SymbolError):
    """The dump holds no BTF."""


def build_pack(read: Read, info: VmcoreInfo) -> bytes:
    """Make the pack of a dump's kernel.

    :raises SymbolError: if the dump lacks a part, which the message names
    :raises SymbolError: if a page of them is not in the dump
    """
    if not info.build_id:
        raise SymbolError("VMCOREINFO has no build ID, as kernels have since 5.9")
    table = kernel_table(read, info)
    types = parse_btf(contents(read, table, "BTF"))
    writer = Writer(types)
    listed = per_cpu_variables(writer, types, table)
    functions(writer, types, table)
    untyped = add_variables(writer, types, table, info.get("OSRELEASE"), listed)
    dwarf = writer.sections()
    parts = [
        *landmarks(table, info.build_id),
        *(Part(name, data) for name, data in dwarf.items()),
        *_unwinding(read, table),
        *symbol_parts(table),
        Part(lookup.UNTYPED, "\n".join(untyped).encode()),
    ]
    return image(table, parts)


def kernel_table(read: Read, info: VmcoreInfo) -> Table:
    """Read the kernel's symbols from where VMCOREINFO names them, else from where they are found.

    :raises SymbolError: if they are not found or make no sense
    """
    named = named_places(info.symbol)
    kallsyms = read_kallsyms(read, named or search(read, info.symbol))
    table = Table(kallsyms, info.kaslr_offset or 0)
    if named is None:
        _compare(table, info)
    return table


def _compare(table: Table, info: VmcoreInfo) -> None:
    """Hold symbols that were searched for against those that VMCOREINFO names."""
    for name in _NAMED_IN_BOTH:
        told = info.symbol(name)
        if told is not None and table.run_time(name) != told:
            raise NoKallsymsError(f"kallsyms was searched for, and has another {name}")


def contents(read: Read, table: Table, section: str) -> bytes:
    """Contents of a section that the linker script brackets with symbols."""
    start, stop = table.run_time(f"__start_{section}"), table.run_time(f"__stop_{section}")
    if start is None or stop is None:
        raise NoTypesError(f"the kernel holds no {section} (CONFIG_DEBUG_INFO_BTF)")
    if not 0 < stop - start <= _LARGEST_SECTION:
        raise SymbolError(f"{section} would be {stop - start} bytes")
    return read(start, stop - start)


def _unwinding(read: Read, table: Table) -> list[Part]:
    """ORC, as ``objtool`` writes it; its references are relative to where it lies."""
    parts = []
    for name in ("orc_unwind_ip", "orc_unwind", "orc_header"):
        start, stop = table.find(f"__start_{name}"), table.find(f"__stop_{name}")
        if start is None or stop is None or not 0 < stop[0] - start[0] <= _LARGEST_SECTION:
            continue  # the header came with Linux 6.4; without ORC frame pointers are followed
        data = read(start[0] + table.offset, stop[0] - start[0])
        parts.append(Part(f".{name}", data, flags=SHF_ALLOC, address=start[0], align=4))
    return parts
