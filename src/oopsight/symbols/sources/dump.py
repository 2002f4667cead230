"""The dump itself: its kallsyms, BTF and ORC, made into a pack that is kept for the next time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from oopsight.errors import SymbolError
from oopsight.symbols import DumpMemory, Wanted, cache
from oopsight.symbols.compressed import in_memory

ORDER = 50
DECISIVE = False
OWN = True


def unavailable(wanted: Wanted) -> str | None:
    """Only a dump has memory."""
    return None if wanted.memory else "there is no dump"


def build(memory: DumpMemory) -> bytes:
    """Make the pack.

    :raises SymbolError: if the dump lacks a part of it
    """
    if memory.machine != "x86_64":
        raise SymbolError(f"packs are made of x86-64 dumps only, this is {memory.machine}")
    from oopsight.symbols.pack.build import build_pack

    try:
        return build_pack(memory.read, memory.vmcoreinfo)
    except (ArithmeticError, LookupError, MemoryError, ValueError) as error:
        # Whatever a damaged table leads to; nothing of it is kept.
        raise SymbolError(f"its tables are damaged: {type(error).__name__}: {error}") from None


def candidates(wanted: Wanted) -> Iterator[Path]:
    """Build the pack.

    :raises SymbolError: if the dump lacks a part of it
    """
    if wanted.memory is None:
        return
    memory = wanted.memory()
    image = build(memory)
    if not memory.whole:
        wanted.remarks.append("the pack is not kept, since the dump is not whole")
        yield in_memory(image)
        return
    try:
        yield cache.store(str(wanted.build_id), image)
    except OSError as error:
        wanted.remarks.append(
            f"the pack could not be kept in {cache.directory()} ({error.strerror or error}), "
            "so the next run makes it anew"
        )
        yield in_memory(image)


def searched(wanted: Wanted) -> str:  # noqa: ARG001  # every source has this signature
    """Name the dump."""
    return "the dump's memory"
