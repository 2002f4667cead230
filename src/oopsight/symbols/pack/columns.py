"""Rows of different lengths put into one array of bytes, a column of them at a time."""

from __future__ import annotations

import numpy as np

from oopsight.symbols.pack.btf import Array

_ROWS_AT_ONCE = 1 << 16


def scatter(out: Array, at: Array, rows: Array) -> None:
    """Copy rows to places in an array of bytes."""
    width = rows.dtype.itemsize
    raw = rows.view(np.uint8).reshape(len(rows), width)
    columns = np.arange(width, dtype=np.int32)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        out[at[part].astype(np.int32)[:, None] + columns] = raw[part]


def sum_by(owner: Array, each: Array, count: int) -> Array:
    """Of each owner the sum of what belongs to it, ``int64``."""
    return np.bincount(owner, each, count).astype(np.int64)


def leb128(numbers: Array, width: int, *, signed: bool) -> Array:
    """LEB128, padded to a width.

    :param numbers: ``int64``; read as unsigned where ``signed`` is false
    """
    shifts = np.arange(width) * 7
    values = numbers if signed else numbers.view(np.uint64)
    result = np.zeros((len(numbers), width), np.uint8)
    for column, shift in enumerate(shifts.tolist()):
        part = values >> values.dtype.type(min(shift, 63)) & values.dtype.type(0x7F)
        result[:, column] = part.astype(np.uint8) | (0x80 if column < width - 1 else 0)
    if signed is False and width == 10:
        result[:, 9] &= 1
    return result
