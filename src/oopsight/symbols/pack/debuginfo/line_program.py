"""Writes line tables, DWARF 5, in as few bytes as a row takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from oopsight.symbols.pack.debuginfo import line_rows

_LINE_BASE, _LINE_RANGE, _OPCODE_BASE = -3, 10, 10
_MOST_ADVANCE = (255 - _OPCODE_BASE) // _LINE_RANGE
_OPERANDS = bytes([0, 1, 1, 1, 1, 0, 0, 0, 1])
_F_LINE_STRP, _F_UDATA, _PATH, _DIRECTORY = 0x1F, 0xF, 1, 2
_COPY, _ADVANCE_PC, _ADVANCE_LINE, _SET_FILE, _CONST_ADD_PC = 1, 2, 3, 4, 8
SET_ADDRESS = b"\0\x09\x02"
"""Followed by the address."""
_END = b"\0\x01\x01"


def uleb(value: int) -> bytes:
    """Unsigned LEB128.

    >>> uleb(300).hex()
    'ac02'
    """
    if value < 0x80:
        return bytes((value,))
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def sleb(value: int) -> bytes:
    """Signed LEB128.

    >>> sleb(-2).hex(), sleb(64).hex()
    ('7e', 'c000')
    """
    result = bytearray()
    while not -0x40 <= value < 0x40:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value & 0x7F)
    return bytes(result)


def line_table(
    directories: Sequence[int],
    files: Sequence[tuple[int, int]],
    sequences: Sequence[line_rows.Sequence],
    relocate: Callable[[int, int], None],
) -> bytes:
    """One unit's table.

    :param directories: places of their paths in ``.debug_line_str``, by number
    :param files: by number, the place of the name, and the number of the directory
    :param relocate: told where in the table an address stands, and which
    """
    paths = b"".join(place.to_bytes(4, "little") for place in directories)
    names = b"".join(place.to_bytes(4, "little") + uleb(number) for place, number in files)
    head = bytes((1, 1, 1, _LINE_BASE & 0xFF, _LINE_RANGE, _OPCODE_BASE)) + _OPERANDS
    head += bytes((1, _PATH, _F_LINE_STRP)) + uleb(len(directories)) + paths
    # elfutils wants every file to name its directory.
    head += bytes((2, _PATH, _F_LINE_STRP, _DIRECTORY, _F_UDATA)) + uleb(len(files)) + names
    before = 2 + 2 + 4 + len(head)
    program = bytearray()
    for sequence in sequences:
        relocate(4 + before + len(program) + len(SET_ADDRESS), sequence.rows[0][0])
        program += _sequence(sequence)
    body = (5).to_bytes(2, "little") + b"\x08\0" + len(head).to_bytes(4, "little") + head + program
    return len(body).to_bytes(4, "little") + body


def _sequence(sequence: line_rows.Sequence) -> bytearray:
    start = sequence.rows[0][0]
    out = bytearray(SET_ADDRESS + start.to_bytes(8, "little"))
    address, file, line = start, 1, 1
    for to_address, to_file, to_line in sequence.rows:
        if to_file != file:
            out.append(_SET_FILE)
            out += uleb(to_file)
            file = to_file
        advance, delta = to_address - address, to_line - line
        if not 0 <= delta - _LINE_BASE < _LINE_RANGE:
            out.append(_ADVANCE_LINE)
            out += sleb(delta)
            delta = 0
        opcode = delta - _LINE_BASE + _OPCODE_BASE
        if opcode + advance * _LINE_RANGE <= 255:
            out.append(opcode + advance * _LINE_RANGE)
        elif opcode + (advance - _MOST_ADVANCE) * _LINE_RANGE <= 255:
            out.append(_CONST_ADD_PC)
            out.append(opcode + (advance - _MOST_ADVANCE) * _LINE_RANGE)
        else:
            out.append(_ADVANCE_PC)
            out += uleb(advance)
            out.append(opcode)
        address, line = to_address, to_line
    out.append(_ADVANCE_PC)
    out += uleb(sequence.end - address)
    return out + _END
