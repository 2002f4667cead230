"""The symbol table of a vmlinux, in the form of kallsyms."""

from __future__ import annotations

import numpy as np

from oopsight.errors import SymbolError
from oopsight.symbols.pack.debuginfo.sections import DebugFile
from oopsight.symbols.pack.kallsyms import Array, Kallsyms

_ROW = 24
_NOTYPE, _OBJECT, _FUNC = 0, 1, 2
_LOCAL, _WEAK = 0, 2
_UNDEFINED = 0
_MOST_SYMBOLS = 1 << 22


def read_symbols(file: DebugFile) -> tuple[Kallsyms, Array]:
    """Functions, objects and labels.

    :return: the symbols by link-time address, and the size of each in bytes as it was compiled
    :raises SymbolError: if there is no symbol table
    """
    table = np.frombuffer(file.raw(".symtab"), np.uint8)
    rows = table[: len(table) // _ROW * _ROW].reshape(-1, _ROW)
    if not 0 < len(rows) <= _MOST_SYMBOLS:
        raise SymbolError(f"{file.path}: has no symbol table; it was stripped")
    kind, binding = rows[:, 4] & 0xF, rows[:, 4] >> 4
    section = rows[:, 6:8].copy().view("<u2")[:, 0]
    names = rows[:, :4].copy().view("<u4")[:, 0]
    text = bytes(file.raw(".strtab"))
    good = np.isin(kind, (_NOTYPE, _OBJECT, _FUNC)) & (section != _UNDEFINED)
    good &= (names != 0) & (names < len(text))
    good[good] &= np.frombuffer(text, np.uint8)[names[good]] != ord(".")
    rows, kind, binding, names = rows[good], kind[good], binding[good], names[good]
    address = rows[:, 8:16].copy().view("<u8")[:, 0]
    size = rows[:, 16:24].copy().view("<u8")[:, 0]
    order = np.argsort(address, kind="stable")
    letters = _letters(kind, binding, file.executable()[section[good]])[order]
    parts = [
        bytes((letter,)) + text[start : text.index(b"\0", start)] + b"\0"
        for letter, start in zip(letters.tolist(), names[order].tolist(), strict=True)
    ]
    ends = np.cumsum([len(part) for part in parts])
    starts = np.concatenate(([0], ends[:-1])).astype(np.int64) + 1
    return Kallsyms(address[order], letters, b"".join(parts), starts), size[order]


def _letters(kind: Array, binding: Array, executable: Array) -> Array:
    """``nm``'s letters: upper case for what is global."""
    function = (kind == _FUNC) | executable & (kind == _NOTYPE)
    letters = np.where(function, ord("t"), ord("d"))
    letters = np.where(binding == _LOCAL, letters, letters - 32)
    letters = np.where(binding == _WEAK, np.where(function, ord("W"), ord("V")), letters)
    return letters.astype(np.uint8)
