"""A word of memory by name: a symbol, or the slab cache of the object it points to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.shell.output import readable_errors
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from oopsight.shell import Shell


def slab_name(shell: Shell, address: int) -> str | None:
    """Name of the slab cache that an address belongs to; ``None`` where it belongs to none."""
    from drgn import Object
    from drgn.helpers.linux.slab import find_containing_slab_cache

    memo = shell.cache.setdefault("slab-of-page", {})
    page = address >> 12
    if page not in memo:
        try:
            cache = find_containing_slab_cache(Object(shell.prog, "void *", address))
        except readable_errors():
            memo[page] = None
        else:
            memo[page] = None
            if cache:
                try:
                    memo[page] = printable(c_string(cache.name), 64)
                except readable_errors():
                    memo[page] = "cache whose name cannot be read"
    found: str | None = memo[page]
    return found


def symbolic_word(shell: Shell, word: int, *, slabs: bool = True, both: bool = False) -> str:
    """``vsnprintf+812``, ``[seq_file]``, or the word itself in hexadecimal.

    :param both: with the word beside the cache's name
    """
    if word >> 47:
        if word >> 31 == 0x1FFFFFFFF:
            named = shell.names.of(word)
            if named is not None and (named.size or not named.offset):
                return named.with_offset
        elif slabs:
            name = slab_name(shell, word)
            if name is not None:
                return f"[{word:x}:{name}]" if both else f"[{name}]"
    return f"{word:016x}"
