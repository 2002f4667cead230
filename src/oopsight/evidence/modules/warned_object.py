"""What the kernel's own code warned of: the arguments of a call, or an object and who set it up.

A warning about an object's state comes upon who happens to use it: ``put_device()`` is right of a
device to which whoever registered it gave no release function. One about a number or a name that a
function was called with tells of the call.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace, Frame
from oopsight.evidence.crash.fault import INVALID_OPCODE, Fault
from oopsight.evidence.flow.frames import SessionReader, calls
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import allocates, inner_functions, named
from oopsight.evidence.modules.modules import Modules
from oopsight.session import Session

_LARGEST_NUMBER = 1 << 32
_SHORTEST_NAME, _LONGEST_NAME = 2, 64
_MOST = 3
_NAME = re.compile(rb"[\x20-\x7e]+\0")


@dataclass(frozen=True)
class _Family:
    """Objects of one kind, and warnings that they were not set up as they should."""

    warns: tuple[str, ...]
    """Functions of the kernel whose warning is about that."""
    sets_up: re.Pattern[str]
    left_out: bool
    """Whether the setting up was left out; else it was done without something."""
    why: str


_FAMILIES = (
    _Family(
        ("device_release",),
        re.compile(r"device_(?:initialize|register|add)|(?:platform|spi)_device_(?:register|add)"),
        left_out=False,
        why="sets such a device up",
    ),
    _Family(
        ("kobject_get", "kobject_put", "kobject_add", "kobject_add_varg"),
        re.compile(r"kobject_(?:init|init_and_add|create\w*)|device_(?:initialize|register)"),
        left_out=True,
        why="makes objects and initialises no kobject",
    ),
    _Family(
        (
            *("__mod_timer", "mod_timer", "add_timer", "add_timer_on"),
            *("__queue_delayed_work", "queue_delayed_work_on", "mod_delayed_work_on"),
        ),
        re.compile(r"init_timer\w*_key"),
        left_out=True,
        why="makes objects and initialises no timer",
    ),
)


@dataclass(frozen=True)
class WarnedObject:
    """What is known of the call of a module's function that the kernel warned in."""

    module: str
    told: str | None
    """The number or name that it was called with, if its first argument is one."""
    setters: tuple[str, ...] = ()
    """Functions of the module that set such objects up, or make them and do not."""
    why: str = ""
    """What these do."""


def collect(
    session: Session, fault: Fault, backtrace: Backtrace, modules: Modules
) -> WarnedObject | Missing:
    """Look at the first call by a module on the crash path."""
    if fault.exception != INVALID_OPCODE or fault.module is not None:
        return Missing(Why.NOT_APPLICABLE, "it was not the kernel's own code that warned")
    frame = next((one for one in backtrace.blamable if one.module and not one.inline), None)
    module = next((m for m in modules.loaded if frame and m.name == frame.module), None)
    if frame is None or module is None or not module.taints:
        return Missing(Why.NOT_APPLICABLE, "no module's function had called it")
    inner = {one.function for one in backtrace.crash_path if one.index < frame.index}
    for family in _FAMILIES:
        if inner & set(family.warns):
            code = inner_functions(session, module, SessionReader(session))
            return WarnedObject(module.name, None, _setters(family, code), family.why)
    return WarnedObject(module.name, _told(session, backtrace, frame))


def _setters(family: _Family, code: list[ModuleFunction]) -> tuple[str, ...]:
    """Those first that store no function of the module; none if there are too many to tell."""
    found = [one for one in code if any(family.sets_up.fullmatch(name) for name in one.outside)]
    if family.left_out:
        found = [one for one in code if allocates(one) and one not in found]
    starts = {one.start for one in code}
    found.sort(key=lambda one: bool(one.refers & starts))
    names = named(found)
    return names if len(names) <= _MOST else ()


def _told(session: Session, backtrace: Backtrace, frame: Frame) -> str | None:
    """The first argument of a frame's call, where it is a number or a name."""
    found = calls(session, backtrace, None)
    position = next((i for i, one in enumerate(found.frames) if one.index == frame.index), None)
    context = found.context(position) if position is not None else None
    value = found.tracer.value(context, "rdi", context.at) if context is not None else None
    if not value:
        return None
    if value < _LARGEST_NUMBER:
        return str(value)
    data = SessionReader(session).read(value, _LONGEST_NAME)
    match = _NAME.match(data) if data else None
    name = match[0][:-1].decode("ascii") if match is not None else ""
    return repr(name) if len(name) >= _SHORTEST_NAME else None
