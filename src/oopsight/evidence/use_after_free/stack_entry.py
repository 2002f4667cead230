"""An entry on a kernel stack that a list still leads to, and who of a module left it there.

A function that waits for an answer puts an entry of its own frame on a list. Where it gives up
waiting and returns, the list leads to memory of the next calls.
"""

from __future__ import annotations

from oopsight.evidence.corruption.list_report import ListReport
from oopsight.evidence.memory.owner import Owner
from oopsight.evidence.memory.task_stacks import task_with_stack_at
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.ownership import Ownership, plain
from oopsight.kernel.frame_entries import added, arguments_added, left_on_return
from oopsight.plumbing import base_name
from oopsight.session import Session

# By their plain names; in which register they get the entry.
_ADDS = {
    **dict.fromkeys(("list_add_valid", "list_add_valid_or_report"), frozenset(["rdi"])),
    **dict.fromkeys(("add_wait_queue", "prepare_to_wait"), frozenset(["rsi"])),
}
_REMOVES = (
    *("list_del_entry_valid", "list_del_entry_valid_or_report", "remove_wait_queue"),
    *("finish_wait", "finish_swait"),
)
_NEIGHBOURS = ("prev", "next", "was")


def leavers(session: Session, modules: Modules, name: str) -> tuple[str, ...]:
    """Functions that put an entry of their own frame on a list and can return with it there.

    :param name: of the module
    """
    module = next((one for one in modules.loaded if one.name == name), None)
    if module is None:
        return ()
    code = Ownership(session, modules, module)
    known: dict[int, frozenset[str]] = {}

    def adds(target: int | None) -> frozenset[str]:
        return _ADDS.get(code.called(target)) or known.get(target or 0, frozenset())

    removing = {
        one.start for one in code.functions if any(plain(name) in _REMOVES for name in one.calls)
    }

    def removes(target: int | None) -> bool:
        return target in removing or code.called(target) in _REMOVES

    followed = [(one, function) for one in code.functions if (function := code.code(one))]
    for one, function in followed:
        if any(plain(name) in _ADDS for name in one.calls):
            known[one.start] = arguments_added(function, adds)
    found = [
        base_name(one.name)
        for one, function in followed
        if (sites := added(function, adds)) and left_on_return(function, sites, removes)
    ]
    return tuple(dict.fromkeys(found))


def reported(report: ListReport) -> Owner | None:
    """The neighbour on a stack that the list check met."""
    met = (report.entry(role) for role in _NEIGHBOURS)
    return next((one.owner for one in met if one and one.owner.kind == "stack"), None)


def in_use(session: Session, address: int, functions: tuple[str, ...]) -> bool:
    """Whether a task whose stack has the address is still in one of the functions."""
    from drgn import FaultError
    from drgn.helpers.linux.panic import panic_task

    task = task_with_stack_at(session, address)
    if task is None:
        return False
    try:
        # The crashed task may be in such a function again: what it met is of a call before.
        if task.value_() == panic_task(session.prog).value_():
            return False
        frames = session.prog.stack_trace(task)
    except (FaultError, LookupError, ValueError):
        return False
    return any(base_name(frame.name or "") in functions for frame in frames)
