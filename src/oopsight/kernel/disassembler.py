"""capstone's x86-64 disassembler by its C interface.

capstone's own Python package imports every architecture that it knows, 40 ms, and takes 25 us to
make an object of an instruction, of which a tenth is used here. Thousands of instructions are read
on the way from a fault to its cause.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import struct
from pathlib import Path
from typing import Any, NamedTuple

# capstone/capstone.h and capstone/x86.h of version 5.
_X86, _MODE_64 = 3, 1 << 3
_OPTION_DETAIL, _ON = 2, 3
REGISTER, IMMEDIATE, MEMORY = 1, 2, 3
READ, WRITE = 1, 2
MAJOR = 5
INSTRUCTION = struct.Struct("<I4xQH24s32s160s6xQ")
"""``cs_insn``: number, address, size, bytes, mnemonic, operands, detail."""
READ_COUNT_AT = 40
WRITTEN_AT, WRITTEN_COUNT_AT = 42, 82
"""Of the registers that an instruction reads and changes without naming them, in ``cs_detail``."""
OPERAND_COUNT_AT, OPERANDS_AT = 160, 168
OPERAND = struct.Struct("<I4x24sBB14x")
"""``cs_x86_op``: type, value, size in bytes, access."""
MEMORY_OPERAND = struct.Struct("<IIIiq")
"""``x86_op_mem``: segment, base, index, scale, displacement."""
_MOST_OPERANDS = 8
_DS = 0x3E
_LOCKABLE = (
    *("add", "adc", "and", "btc", "btr", "bts", "cmpxchg", "cmpxchg8b", "cmpxchg16b", "dec"),
    *("inc", "neg", "not", "or", "sbb", "sub", "xadd", "xchg", "xor"),
)
_NUMBERS = tuple(struct.Struct(f"<{count}H") for count in range(21))
_DETAIL_SIZE = OPERANDS_AT + _MOST_OPERANDS * OPERAND.size
_OPERANDS = tuple(range(OPERANDS_AT, _DETAIL_SIZE, OPERAND.size))


class Row(NamedTuple):
    """One instruction."""

    address: int
    code: bytes
    mnemonic: str
    operands: str
    detail: bytes
    """The head of its ``cs_detail``; empty where it was not asked for."""

    @property
    def parts(self) -> list[bytes]:
        """An :data:`OPERAND` each."""
        detail = self.detail
        return [detail[at : at + OPERAND.size] for at in _OPERANDS[: detail[OPERAND_COUNT_AT]]]

    @property
    def changed(self) -> tuple[int, ...]:
        """Numbers of the registers that it changes without naming them."""
        return _NUMBERS[self.detail[WRITTEN_COUNT_AT]].unpack_from(self.detail, WRITTEN_AT)

    @property
    def used(self) -> tuple[int, ...]:
        """Numbers of the registers that it reads without naming them."""
        return _NUMBERS[self.detail[READ_COUNT_AT]].unpack_from(self.detail)


@functools.cache
def _library() -> Any:
    """``libcapstone.so``, the one in capstone's package.

    :raises ImportError: if there is none, or it is of another major version
    """
    spec = importlib.util.find_spec("capstone")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder, "lib", "libcapstone.so")
        if path.exists():
            library: Any = ctypes.CDLL(str(path))
            break
    else:
        import capstone  # a distribution's, which keeps the library elsewhere

        library = capstone._cs  # noqa: SLF001  # only it knows where
    version = ctypes.c_int()
    library.cs_version(ctypes.byref(version), ctypes.byref(ctypes.c_int()))
    if version.value != MAJOR:
        raise ImportError(f"capstone {MAJOR} is needed, this is {version.value}")
    library.cs_disasm.restype = ctypes.c_size_t
    library.cs_reg_name.restype = ctypes.c_char_p
    return library


@functools.cache
def _engine(detail: bool) -> ctypes.c_size_t:
    handle = ctypes.c_size_t()
    if _library().cs_open(_X86, _MODE_64, ctypes.byref(handle)):
        raise ImportError("this capstone knows no x86-64")
    if detail:
        _library().cs_option(handle, _OPTION_DETAIL, ctypes.c_size_t(_ON))
    return handle


@functools.cache
def register_name(number: int) -> str | None:
    """Name of a register; ``None`` for 0, which stands for none."""
    name = _library().cs_reg_name(_engine(True), number)  # any engine
    return name.decode() if name else None


def _text(padded: bytes) -> str:
    return padded.partition(b"\0")[0].decode("ascii", "replace")


_mnemonic = functools.lru_cache(maxsize=1 << 10)(_text)


def _names(code: bytes, mnemonic: bytes, operands: bytes) -> tuple[str, str]:
    """Mnemonic and operands, with a lock prefix that the kernel has patched away put back.

    On a machine with one processor it makes each a DS prefix, which does nothing:
    arch/x86/kernel/alternative.c, alternatives_smp_unlock().
    """
    name, text = _mnemonic(mnemonic), _text(operands)
    if code[0] == _DS and "ds:[" in text and name in _LOCKABLE:
        return f"lock {name}", text.replace("ds:[", "[")
    return name, text


def disassemble(code: bytes, address: int, most: int = 0, *, detail: bool = False) -> list[Row]:
    """Instructions from the first byte on, up to one that cannot be decoded.

    :param most: how many at most; 0 for no limit
    """
    library, found = _library(), ctypes.c_void_p()
    count = library.cs_disasm(
        _engine(detail),
        code,
        ctypes.c_size_t(len(code)),
        ctypes.c_uint64(address),
        ctypes.c_size_t(most),
        ctypes.byref(found),
    )
    if not count or found.value is None:
        return []
    try:
        table = ctypes.string_at(found.value, count * INSTRUCTION.size)
        return [
            Row(
                at,
                raw[:size],
                *_names(raw, mnemonic, operands),
                ctypes.string_at(place, _DETAIL_SIZE) if detail else b"",
            )
            for _, at, size, raw, mnemonic, operands, place in INSTRUCTION.iter_unpack(table)
        ]
    finally:
        library.cs_free(found, ctypes.c_size_t(count))
