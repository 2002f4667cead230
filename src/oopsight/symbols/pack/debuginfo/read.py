"""Takes what is wanted of all units of a file."""

from __future__ import annotations

from oopsight.symbols.pack.debuginfo.dies import Dwarf
from oopsight.symbols.pack.debuginfo.functions import Variable, read_unit
from oopsight.symbols.pack.debuginfo.line_rows import LineTable, read_lines
from oopsight.symbols.pack.debuginfo.line_units import LineUnits
from oopsight.symbols.pack.debuginfo.sections import DebugFile


def add_units(units: LineUnits, file: DebugFile) -> tuple[Dwarf, list[Variable]]:
    """Add all units that have code.

    :return: the debug information, and its variables
    :raises SymbolError: if there is none, or it is damaged
    """
    dwarf, lines = Dwarf(file), bytes(file.linked(".debug_line"))
    variables: list[Variable] = []
    for unit in dwarf.units():
        found = read_unit(dwarf, unit)
        variables += found.variables
        if not found.ranges:
            continue
        table = LineTable([], [])
        if found.lines_at is not None:
            table = read_lines(dwarf, lines, found.lines_at, found.directory)
        units.add(found, table)
    return dwarf, variables
