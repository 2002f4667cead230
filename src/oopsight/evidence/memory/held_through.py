"""Which modules hold an object through one of their own: an entry of a list, say, points to it.

A module's data leads to its objects, and along a list from each to the next of the same kind.
"""

from __future__ import annotations

import array
from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address
from oopsight.evidence.modules.modules import Module, Modules, contents
from oopsight.evidence.pointers import BytesPointer
from oopsight.kernel.addresses import in_kernel_half
from oopsight.session import Session
from oopsight.text import printable

_MOST_OBJECTS = 1024
"""Of a module that are looked into."""
_MOST_LOOKUPS = 8192
"""Words of a module's memory and of its objects that may lead to one."""
_IMAGE = 0xFFFFFFFF80000000
"""From here on is the kernel itself, and where modules are loaded."""
_LARGEST = 4096
_WORD = 8


@dataclass(frozen=True)
class HeldThrough:
    """A module, and its object that points to the one in question."""

    module: str
    variable: str
    """Of the module, which leads to its object."""
    memory: BytesPointer
    """The pointer."""


def held_through(session: Session, modules: Modules, begin: int, end: int) -> list[HeldThrough]:
    """Modules from outside the kernel's tree that hold a pointer into some memory in an object.

    :param begin: of the memory
    :param end: of the memory, past its last byte
    """
    found = []
    for module in modules.loaded:
        one = _of_module(session, module, begin, end) if module.taints else None
        if one is not None:
            found.append(one)
    return found


def _of_module(session: Session, module: Module, begin: int, end: int) -> HeldThrough | None:
    pointers = list(_pointers(session, module))
    # What the kernel has linked with the module's own may lead far: first its variables' objects.
    for most in (1, _MOST_OBJECTS):
        seen: set[int] = set()
        left = _MOST_LOOKUPS
        for variable, value in pointers:
            kind, waiting = None, [value]
            first = len(seen)
            while waiting and left and len(seen) < min(first + most, _MOST_OBJECTS):
                left -= 1
                known = _object(session, waiting.pop())
                if known is None or known[0] in seen or (kind is not None and known[2] != kind):
                    continue
                address, size, kind = known
                seen.add(address)
                for at, word in _words(session, address, size):
                    if begin <= word < end and not begin <= address < end:
                        memory = BytesPointer(Address(at), word.to_bytes(_WORD, "little").hex())
                        return HeldThrough(module.name, _name(session, module, variable), memory)
                    if _can_be_object(word):
                        waiting.append(word)
    return None


def _pointers(session: Session, module: Module) -> Iterator[tuple[int, int]]:
    """The words of a module's memory that can lead to objects, and where they are."""
    for start, data in contents(session, module):
        for number, value in enumerate(array.array("Q", data[: len(data) & ~7])):
            if _can_be_object(value):
                yield start + _WORD * number, value


def _can_be_object(word: int) -> bool:
    return in_kernel_half(word) and word < _IMAGE


def _object(session: Session, address: int) -> tuple[int, int, int] | None:
    """Address and size of the slab object at an address, and its cache."""
    from drgn import FaultError
    from drgn.helpers import ValidationError

    from oopsight.kernel.slab_objects import slab_object_info

    try:
        info = slab_object_info(session.prog, address)
        if info is None or not info.address or info.allocated is False:
            return None
        size = info.slab_cache.object_size.value_()
        return int(info.address), min(size, _LARGEST), info.slab_cache.value_()
    except (FaultError, LookupError, ValidationError, AttributeError, ValueError, SymbolError):
        return None


def _words(session: Session, address: int, size: int) -> Iterator[tuple[int, int]]:
    from drgn import FaultError

    try:
        data = session.read(address, size & ~7)
    except FaultError:
        return
    for number, word in enumerate(array.array("Q", data)):
        yield address + _WORD * number, word


def _name(session: Session, module: Module, address: int) -> str:
    try:
        return printable(session.prog.symbol(address).name)
    except LookupError:
        return f"{module.name} + {address - module.base:#x}"
