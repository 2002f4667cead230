"""A timer's or work item's object that was given to somebody else while its handler was running.

Whatever runs a handler takes the function from the object and hands it the object. While it runs,
the object still names it, unless the memory was freed and is another's now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.errors import SymbolError
from oopsight.evidence.memory.owner import owner_of
from oopsight.evidence.modules.module_roles import freers, inner_functions, reaching
from oopsight.plumbing import base_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oopsight.evidence.crash.backtrace import Backtrace
    from oopsight.evidence.flow.data_flow import DataFlow
    from oopsight.evidence.flow.ways import Way
    from oopsight.evidence.memory.owner import SlabObject
    from oopsight.evidence.modules.modules import Modules
    from oopsight.session import Session

_RUNNERS = {
    "call_timer_fn": ("struct timer_list", "function", "timer"),
    "__run_hrtimer": ("struct hrtimer", "function", "timer"),
    "__hrtimer_run_queues": ("struct hrtimer", "function", "timer"),
    "process_one_work": ("struct work_struct", "func", "work item"),
}


def given_away(session: Session, flow: DataFlow | None) -> tuple[str, SlabObject] | None:
    """The allocated object from which a handler read the bad value, if it names it no more."""
    if flow is None or len(flow.ways) < 2 or not flow.of_a_pointer:
        return None
    held = flow.first.held_in
    slab = held.slab if held is not None else None
    handler = _handler(flow.first.function, flow.ways[1])
    if slab is None or slab.freed or handler is None:
        return None
    runner, function, address = handler
    kind, member, what = _RUNNERS[runner]
    if not slab.address <= address < slab.address + slab.size:
        return None
    names = _named_there(session, kind, member, address)
    if names is None or names == function:
        return None
    return (
        f"{runner} was running {function} for the {what} at {address:#x} in it, which does not "
        "name that function any more",
        slab,
    )


def freed_work(
    session: Session, modules: Modules, flow: DataFlow | None
) -> tuple[str, SlabObject] | None:
    """The free object with the work item of which a worker was to run the function.

    The worker had taken the function from there, and remembers the work item.
    """
    from drgn import FaultError, Object, offsetof

    held = flow.first.held_in if flow is not None and flow.subject == "target" else None
    if flow is None or held is None or base_name(flow.first.function) != "process_one_work":
        return None
    try:
        kind = session.prog.type("struct worker")
        begin = int(held.address) - offsetof(kind, "current_func")
        work = Object(session.prog, kind, address=begin).current_work.value_()
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None
    slab = owner_of(session, modules, work).slab if work else None
    if slab is None or not slab.freed:
        return None
    return f"the work item at {work:#x}, whose function the worker was to run, is in it", slab


def running_object(
    session: Session, modules: Modules, backtrace: Backtrace, cpu: int
) -> tuple[str, SlabObject, int] | None:
    """What the handler that is running was run for, where it is free or another's by now.

    By what the worker or the CPU's timers remember, wherever in the handler's calls the machine
    stopped; with it, how far in the object that lies. Not where the handler may have freed it
    itself. A handler may have jumped on to another function of its module.
    """
    path = [frame for frame in backtrace.crash_path if not frame.inline]
    at = next((n for n, f in enumerate(path) if base_name(f.function) in _RUNNERS), None)
    handler = path[at - 1] if at else None
    module = next((one for one in modules.loaded if handler and one.name == handler.module), None)
    if at is None or handler is None or module is None:
        return None
    code = inner_functions(session, module)
    own = {base_name(frame.function) for frame in path[:at] if frame.module == module.name}
    if own & {*reaching({*freers(code)}, code)}:
        return None
    runner = base_name(path[at].function)
    kind, member, what = _RUNNERS[runner]
    for address in remembered(session.prog, runner, cpu):
        slab = owner_of(session, modules, address).slab
        target = _target(session, kind, member, address)
        if slab is None or target is None or (module.holds(target) and not slab.freed):
            continue
        state = "free" if slab.freed else f"not {module.name}'s any more"
        function = base_name(handler.function)
        role = f"{runner} was running {function} for the {what} at {address:#x} in it, and it is "
        return role + state, slab, address - slab.address
    return None


def remembered(prog: Any, runner: str, cpu: int) -> Iterator[int]:
    """What a runner is at: the worker's item, or what the CPU's bases of such timers say."""
    from drgn import FaultError, cast
    from drgn.helpers.linux.kthread import kthread_data
    from drgn.helpers.linux.percpu import per_cpu
    from drgn.helpers.linux.sched import cpu_curr

    try:
        if runner == "process_one_work":
            worker = cast("struct worker *", kthread_data(cpu_curr(prog, cpu)))
            found = [worker.current_work.value_()] if worker else []
        elif runner == "call_timer_fn":
            found = [base.running_timer.value_() for base in per_cpu(prog["timer_bases"], cpu)]
        else:
            bases = per_cpu(prog["hrtimer_bases"], cpu).clock_base
            found = [base.running.value_() for base in bases]
    except (FaultError, LookupError, AttributeError, SymbolError):
        return
    yield from (address for address in found if address)


def _handler(inner: str, way: Way) -> tuple[str, str, int] | None:
    """Who ran a handler, the handler, and what it was handed, after the way of that.

    :param inner: the function in which the way begins
    """
    for step in way.steps:
        if step.how == "passed" and step.value is not None:
            runner = base_name(step.function)
            return (runner, base_name(inner), int(step.value)) if runner in _RUNNERS else None
        inner = step.function
    return None


def _named_there(session: Session, kind: str, member: str, address: int) -> str | None:
    """The function that an object names, empty if what is there is none."""
    target = _target(session, kind, member, address)
    if target is None:
        return None
    try:
        symbol = session.prog.symbol(target)
    except LookupError:
        return ""
    return base_name(symbol.name) if symbol.address == target else ""


def _target(session: Session, kind: str, member: str, address: int) -> int | None:
    """The address that an object has for a function."""
    from drgn import FaultError, Object

    try:
        return int(Object(session.prog, kind, address=address).member_(member).value_())
    except (FaultError, LookupError, AttributeError, SymbolError):
        return None
