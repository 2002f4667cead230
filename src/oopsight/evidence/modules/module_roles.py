"""What a module's functions could have done to a piece of memory, by what they call.

Not a fact by itself: collectors that look for who freed or overwrote something ask it.
"""

from __future__ import annotations

import array
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from oopsight.cheap import replace
from oopsight.errors import SymbolError
from oopsight.evidence import Address
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.known_calls import (
    ALLOCATES,
    FREES,
    FREES_AREAS,
    FREES_MEMORY,
    FREES_PACKETS,
    LIST_ADDS,
    LIST_DELETES,
)
from oopsight.evidence.modules.module_code import ModuleFunction, functions
from oopsight.evidence.modules.modules import Module, Modules, contents
from oopsight.evidence.modules.publishing import PUBLISHES
from oopsight.evidence.pointers import BytesPointer
from oopsight.plumbing import base_name
from oopsight.session import Session
from oopsight.text import printable

if TYPE_CHECKING:
    from oopsight.evidence.memory.owner import SlabObject
    from oopsight.evidence.modules.field_code import FieldUse

_MOST_TABLES = 64
_READ = "oopsight:functions-of-modules"
_MOVES = ("krealloc", "kvrealloc", "krealloc_node_align")
"""Functions that free memory where it lay, and may not be where it lies then."""
_NO_SLAB = ("vfree", "free_pages", "free_percpu", "dma_pool_free")
"""Beginnings of the names of those that free what no slab cache has."""
PACKETS = ("skbuff_", "skb_")  # beginnings of the names of the caches of socket buffers
# Functions that free what is not theirs to call kfree() for.
_DESTROYS = (
    "free_netdev",
    "destroy_workqueue",
    "kmem_cache_destroy",
    "put_device",
    "kobject_put",
    "device_unregister",
    "platform_device_unregister",
    "sk_free",
    "sock_release",
)
_GIVES_BACK = re.compile(r"(?:^|_)(?:free|destroy|release|put|unregister)(?!_user)(?:_|$)")
# Copies whose length is the caller's affair, or the source's; first those of nothing but text.
_TEXT_COPIES = ("strcpy", "strcat", "sprintf", "vsprintf")
_COPIES = (*_TEXT_COPIES, "memcpy", "memmove", "memset", "memcpy_fromio", "hex2bin")
# Copies that are told how much room there is; first those of nothing but text.
_BOUNDED_TEXT = (
    *("strncpy", "strncat", "strscpy", "strlcpy", "sized_strscpy"),
    *("snprintf", "scnprintf", "sscanf"),
)
_CHECKED = ("copy_from_user", "copy_from_iter")
_BOUNDED = (*_BOUNDED_TEXT, *_CHECKED, "copy_from_kernel_nofault", "skb_copy_bits")
_TEXT = (*_TEXT_COPIES, *_BOUNDED_TEXT)
_SIZED = re.compile(r"_*(?:kmalloc|kvmalloc_node|kmalloc_node)(?:_noprof|_track_caller)*")
_THREAD = re.compile(r"_*kthread_(?:create|run)(?!_worker)")
# Variants that the CPU's features choose between.
_ALIAS = re.compile(r"(?:_orig|_erms|_noprof)$")


def holding_variables(
    session: Session, modules: Modules, begin: int, end: int
) -> Iterator[tuple[Module, Address, str, BytesPointer]]:
    """Variables of out-of-tree modules that hold a pointer into some memory, one of each part.

    :param begin: of the memory
    :param end: of the memory, past its last byte
    """
    for module in modules.loaded:
        if not module.taints:
            continue
        for start, data in contents(session, module):
            words = array.array("Q", data[: len(data) & ~7])
            for number, value in enumerate(words):
                if not begin <= value < end:
                    continue
                offset = number * 8
                at = Address(start + offset)
                try:
                    symbol = printable(session.prog.symbol(at).name)
                except LookupError:
                    symbol = f"{module.name} + {at - module.base:#x}"
                memory = BytesPointer(at, data[offset : offset + 8].hex())
                yield module, at, symbol, memory
                break


def who_fills(session: Session, modules: Modules, one: SlabObject) -> tuple[str, ...]:
    """Functions that put a module's functions into an object, themselves or by copying a table."""
    for module in modules.loaded:
        values = {int(ref.value) for ref in one.refers if ref.module == module.name}
        if not values or not module.taints:
            continue
        code = inner_functions(session, module)
        values &= {function.start for function in code}
        tables = {
            int(at)
            for value in values
            for owner, at, _, _ in holding_variables(session, modules, value, value + 1)
            if owner.name == module.name
        }
        begins = values | {_begin_of(session, at) for at in tables}
        return named(function for function in code if function.refers & begins)
    return ()


def tables_with(session: Session, module: Module, address: int) -> set[int]:
    """Where the variables of a module begin that hold an address, bounded."""
    found: set[int] = set()
    wanted = address.to_bytes(8, "little")
    for start, data in contents(session, module):
        at = data.find(wanted)
        while at >= 0 and len(found) < _MOST_TABLES:
            if at % 8 == 0:
                found.add(_begin_of(session, start + at))
            at = data.find(wanted, at + 1)
    return found


def _begin_of(session: Session, address: int) -> int:
    try:
        return int(session.prog.symbol(address).address)
    except LookupError:
        return address


def start_and_end(session: Session, name: str) -> set[int]:
    """Addresses of a module's initialisation and exit functions."""
    from drgn import FaultError
    from drgn.helpers.linux.module import find_module

    try:
        module = find_module(session.prog, name)
        return {module.init.value_(), module.exit.value_()} if module else set()
    except (FaultError, LookupError, AttributeError, SymbolError):
        return set()


def inner_functions(
    session: Session, module: Module, reader: SessionReader | None = None
) -> list[ModuleFunction]:
    """The functions of a module that run while it is in use: neither its first nor its last.

    Their code is read once for all that ask.

    :param reader: one that has read some of the memory before
    """
    known: dict[int, list[ModuleFunction]] = session.prog.cache.setdefault(_READ, {})
    if module.base not in known:
        edges = start_and_end(session, module.name)
        code = functions(reader or SessionReader(session), module)
        known[module.base] = [one for one in code if one.start not in edges]
    return known[module.base]


def _does(function: ModuleFunction, what: tuple[str, ...]) -> bool:
    """Whether it calls one of some functions, under whichever of their aliases."""
    return any(_ALIAS.sub("", name).lstrip("_") in what for name in function.outside)


def _fills(function: ModuleFunction, what: tuple[str, ...]) -> bool:
    """The same, and not just to fill what lies on its own stack."""
    return any(
        _ALIAS.sub("", name).lstrip("_") in what for name in function.outside - function.to_stack
    )


def writer_rank(one: ModuleFunction, bases: set[int]) -> int | None:
    """How suspect a function is of having written at length, 0 the most; ``None``: it does not.

    :param bases: addresses of variables that hold what was written to
    """
    free = one.copies or bool(one.runs_on) or _fills(one, _COPIES)
    bounded = _fills(one, _BOUNDED)
    if not free and not bounded:
        return None
    # Who copies with a limit knows of limits.
    return 2 * (bounded + (not free)) + (not one.refers & bases)


def writers(code: list[ModuleFunction], bases: set[int]) -> list[ModuleFunction]:
    """Functions that write to memory at length, the most suspect first."""
    ranked = [(rank, one) for one in code if (rank := writer_rank(one, bases)) is not None]
    return [one for _, one in sorted(ranked, key=lambda item: item[0])]


def writes_text(function: ModuleFunction) -> bool:
    """Whether what it writes can be text: not the same byte over and over, nor words."""
    copies = tuple(name for name in _COPIES if name != "memset")
    return function.bytewise or _fills(function, (*copies, *_BOUNDED))


def writes_numbers(function: ModuleFunction) -> bool:
    """Whether what it writes can be an array of numbers, rather than text alone."""
    copies = tuple(name for name in (*_COPIES, *_BOUNDED) if name not in _TEXT)
    return function.copies or function.indexed or _fills(function, copies)


def is_copy(called: str) -> bool:
    """Whether a function of this name writes to memory at length for its caller."""
    return _ALIAS.sub("", called).lstrip("_") in (*_COPIES, *_BOUNDED)


def checked_alone(function: ModuleFunction) -> bool:
    """Whether all that it copies comes from the user, by functions that check the object's size."""
    others = tuple(one for one in _BOUNDED if one not in _CHECKED)
    return not (
        function.copies or function.indexed or _does(function, _COPIES) or _does(function, others)
    )


def publishes(function: ModuleFunction) -> bool:
    """Whether it makes something known to the kernel, which then may call the module with it."""
    return any(PUBLISHES.match(_ALIAS.sub("", name)) for name in function.outside)


def thread_starters(code: list[ModuleFunction]) -> tuple[str, ...]:
    """Names of those that start threads of the kernel."""
    return named(one for one in code if any(map(_THREAD.match, one.outside)))


def adds_to_lists(function: ModuleFunction) -> bool:
    """Whether it adds an entry to a list, where the kernel checks lists."""
    return any(base_name(name) in LIST_ADDS for name in function.outside)


def takes_off_lists(function: ModuleFunction) -> bool:
    """Whether it takes an entry off a list, where the kernel checks lists."""
    return any(base_name(name) in LIST_DELETES for name in function.outside)


def allocates(function: ModuleFunction) -> bool:
    """Whether it allocates anything."""
    return any(name.lstrip("_").startswith(ALLOCATES) for name in function.outside)


def moves(function: ModuleFunction) -> bool:
    """Whether it has memory grow or shrink, which then lies elsewhere."""
    return _does(function, _MOVES)


def allocates_by_size(called: str) -> bool:
    """Whether a function of this name allocates as many bytes as its first argument tells.

    Where the compiler knows the size, kmalloc() mostly names the cache: include/linux/slab.h.
    """
    return _SIZED.fullmatch(called) is not None


def named(chosen: Iterable[ModuleFunction]) -> tuple[str, ...]:
    """Their names, each once."""
    return tuple(dict.fromkeys(base_name(one.name) for one in chosen))


def reaching(names: set[str], code: list[ModuleFunction]) -> tuple[str, ...]:
    """Functions, and those that call one of them."""
    return named(
        one
        for one in code
        if names & {base_name(one.name), *(base_name(called) for called in one.calls)}
    )


def destroyers(inner: list[ModuleFunction]) -> tuple[str, ...]:
    """Names of those that have the kernel free what is not theirs to call kfree() for."""
    return named(one for one in inner if _does(one, _DESTROYS))


def givers_back(inner: list[ModuleFunction]) -> tuple[str, ...]:
    """Names of those that tell the kernel that they are done with something, by what they call."""
    return named(one for one in inner if any(_GIVES_BACK.search(name) for name in one.outside))


def freers(inner: list[ModuleFunction], cache: str = "") -> tuple[str, ...]:
    """Names of those that free memory; failing these, that have the kernel free it.

    :param cache: the slab cache of the memory in question: packets are freed by functions of theirs
    """
    frees: tuple[str, ...] = (*FREES_MEMORY, *_MOVES)
    if cache.startswith(PACKETS):
        frees = (*FREES_PACKETS,)
    elif cache:
        # What comes from a cache of its own is not given to kfree().
        others = _NO_SLAB if "kmalloc" in cache else (*_NO_SLAB, "kfree", "kvfree")
        frees = tuple(name for name in frees if not name.startswith(others))
    found = named(one for one in inner if _does(one, frees))
    return found or named(one for one in inner if _does(one, _DESTROYS))


def area_freers(inner: list[ModuleFunction]) -> list[ModuleFunction]:
    """Those that give areas of the vmalloc range back; last who makes things known.

    That one frees where it fails.
    """
    return [one for one in sorted(inner, key=publishes) if _does(one, (*FREES_AREAS,))]


def of_cache(uses: dict[str, FieldUse], cache: str) -> dict[str, FieldUse]:
    """What functions do, without what they free that is in no such slab cache: packets, or others.

    :param cache: the slab cache of the memory in question
    """
    packets = cache.startswith(PACKETS)
    return {
        name: replace(use, freed=tuple(one for one in use.freed if one[0] not in other))
        if (other := _freeing(use, packets=not packets))
        else use
        for name, use in uses.items()
    }


def _freeing(use: FieldUse, *, packets: bool) -> set[int]:
    """Addresses of the calls of a function that free packets, or anything else."""
    return {
        call.at
        for call in use.handed
        if (name := call.name.lstrip("_")) in FREES and (name in FREES_PACKETS) is packets
    }
