"""Where a text lies that was met as a pointer, if nothing tells where that was read.

What the kernel keeps for itself may lie behind an object of a module that wrote too much into that.
The objects which the variables of modules lead to are known; little of what lies behind each is
looked at.
"""

from __future__ import annotations

import array

from oopsight.evidence.modules.modules import Modules, contents
from oopsight.kernel.addresses import in_kernel_half
from oopsight.session import Session

_MOST_OBJECTS = 4096
_MOST = 16
_BEHIND = 1024
"""Bytes from where the pointer to an object leads."""
_WORD = 8


def text_behind(session: Session, modules: Modules, value: int) -> list[int]:
    """Places of a word behind the objects that variables of modules lead to.

    Of modules from outside the kernel's tree. What is written too far once often is again.

    :param value: the word
    """
    from drgn import FaultError

    wanted = value.to_bytes(_WORD, "little")
    begins: dict[int, None] = {}
    for module in modules.loaded:
        for _, data in contents(session, module) if module.taints else ():
            words = array.array("Q", data[: len(data) & ~7])
            begins.update((one, None) for one in words if _is_data(modules, one))
    found: dict[int, None] = {}
    for begin in list(begins)[:_MOST_OBJECTS]:
        try:
            data = session.read(begin, _BEHIND)
        except FaultError:
            continue
        at = data.find(wanted)
        while at >= 0:
            if at % _WORD == 0:
                found[begin + at] = None
            at = data.find(wanted, at + 1)
    return list(found)[:_MOST]


def _is_data(modules: Modules, value: int) -> bool:
    """Whether a value can be an address in the kernel's memory, outside modules."""
    return in_kernel_half(value) and value % _WORD == 0 and not modules.in_area(value)
