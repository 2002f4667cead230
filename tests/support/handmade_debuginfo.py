"""A unit of code and its lines, as debug information tells it, and an ELF file that holds it."""

from __future__ import annotations

from oopsight.symbols.pack.debuginfo import line_units
from oopsight.symbols.pack.debuginfo.functions import Call, CodeUnit
from oopsight.symbols.pack.debuginfo.line_rows import LineTable, Sequence
from oopsight.symbols.pack.debuginfo.line_units import LineUnits
from oopsight.symbols.pack.elf_image import ET_EXEC, Part, build_id_part, elf_image

TEXT = 0xFFFFFFFF81000000
INIT = 0xFFFFFFFF82000000
BUILD_ID = "cd" * 20

LIST_ADD = Call(b"__list_add", [(TEXT + 0x24, TEXT + 0x28)], file=2, line=109)
ADD_TAIL = Call(b"list_add_tail", [(TEXT + 0x20, TEXT + 0x30)], 1, 7000, [LIST_ADD])
ENQUEUE = Call(b"enqueue", [(TEXT + 0x10, TEXT + 0x90), (INIT, INIT + 8)], inlined=[ADD_TAIL])
OTHER = Call(b"other", [(TEXT + 0x100, TEXT + 0x2100)])
UNIT = CodeUnit(
    name=b"kernel/queue.c",
    directory=b"/build",
    ranges=[(TEXT, TEXT + 0x2100), (INIT, INIT + 8)],
    lines_at=0,
    functions=[ENQUEUE, OTHER],
    variables=[],
)
LINES = LineTable(
    files=[b"", b"kernel/queue.c", b"include/linux/list.h", b"never/named.h"],
    sequences=[
        Sequence(
            [
                (TEXT + 0x10, 1, 6990),
                (TEXT + 0x20, 2, 105),
                (TEXT + 0x24, 2, 72),
                (TEXT + 0x28, 2, 106),
                (TEXT + 0x30, 1, 12),
                (TEXT + 0x100, 1, 9),
                (TEXT + 0x1100, 1, 10),
            ],
            TEXT + 0x2100,
        ),
        Sequence([(INIT, 1, 6991)], INIT + 8),
    ],
)


def written(units: list[tuple[CodeUnit, LineTable]]) -> dict[str, bytes]:
    """The debug sections of some units."""
    strings = bytearray(b"\0")

    def string(text: bytes) -> int:
        nonlocal strings
        strings += text + b"\0"
        return len(strings) - len(text) - 1

    made = LineUnits(string)
    for unit, lines in units:
        made.add(unit, lines)
    return {
        ".debug_info": bytes(made.info),
        ".debug_abbrev": line_units.abbreviations(),
        ".debug_str": bytes(strings),
        **dict(made.sections(0)),
    }


def code_file(sections: dict[str, bytes]) -> bytes:
    """An executable with these debug sections."""
    parts = [build_id_part(BUILD_ID), *(Part(name, data) for name, data in sections.items())]
    return elf_image(parts, (TEXT, INIT + 0x1000 - TEXT), kind=ET_EXEC)
