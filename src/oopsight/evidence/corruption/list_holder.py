"""Which entry of a module's list holds a bad pointer, where the way that it came is lost.

An iterator that has returned, as a seq_file's or a bus's, leaves no trace of the entry before. The
list is still there: it is gone along from its head in the module's data.
"""

from __future__ import annotations

import array

from oopsight.evidence.memory.owner import Owner, owner_of
from oopsight.evidence.modules.modules import Module, Modules, contents
from oopsight.kernel.addresses import in_kernel_half
from oopsight.session import Session, read_word

_MOST_ENTRIES = 4096
_WORD = 8


def list_holder(session: Session, modules: Modules, names: list[str], value: int) -> Owner | None:
    """The place of the pointer to a next entry that has the value, where it is the only one.

    :param names: of the modules whose lists are gone along
    """
    found = {
        place
        for module in modules.loaded
        if module.taints and module.name in names
        for head in _heads(session, module)
        if (place := _along(session, head, value)) is not None
    }
    return owner_of(session, modules, found.pop()) if len(found) == 1 else None


def _heads(session: Session, module: Module) -> list[int]:
    """Places in a module's data that are heads of lists with entries."""
    heads: list[int] = []
    for start, data in contents(session, module):
        words = array.array("Q", data[: len(data) & ~7])
        for number, entry in enumerate(words):
            at = start + number * _WORD
            if _is_data(entry) and entry != at and _leads_back(session, entry, at):
                heads.append(at)
    return heads


def _leads_back(session: Session, entry: int, head: int) -> bool:
    """Whether the first entry, or if that was written over the last, leads to the head."""
    if read_word(session, entry + _WORD) == head:
        return True
    last = read_word(session, head + _WORD)
    return last is not None and _is_data(last) and read_word(session, last) == head != last


def _is_data(value: int) -> bool:
    """Whether a value can be an address in the kernel's memory of data, for a ``list_head``."""
    return in_kernel_half(value) and value % _WORD == 0


def _along(session: Session, head: int, value: int) -> int | None:
    """The entry of a list that has the value for its next one's address."""
    entry = head
    for _ in range(_MOST_ENTRIES):
        following = read_word(session, entry)
        if following == value:
            return entry if entry != head else None
        if following is None or following == head or not _is_data(following):
            return None
        entry = following
    return None
