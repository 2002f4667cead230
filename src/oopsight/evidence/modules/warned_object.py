"""What the kernel's own code warned of: the arguments of a call, or an object and who set it up.

A warning about an object's state comes upon who happens to use it: ``put_device()`` is right of a
device to which whoever registered it gave no release function. One about a number or a name that a
function was called with tells of the call.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace, Frame
from oopsight.evidence.crash.fault import INVALID_OPCODE, Fault
from oopsight.evidence.flow.frames import SessionReader, calls
from oopsight.evidence.memory.owner import owner_of
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.code_values import Value, within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import allocates, inner_functions, named
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.omitting import omitting, setting_at_times
from oopsight.evidence.modules.ownership import Ownership
from oopsight.evidence.modules.siblings import siblings
from oopsight.plumbing import base_name
from oopsight.session import Session

_LARGEST_NUMBER = 1 << 32
_GIVES_BACK = re.compile(r"(?:^|_)(?:free|remove|release|put|destroy|unregister|del)(?:_|$)")
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
    size: int = 64
    """In bytes, of what is set up."""


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
        size=40,
    ),
    _Family(
        ("__queue_work", "__flush_work", "flush_work", "__cancel_work_sync"),
        re.compile("(?!)"),  # that is done by stores alone
        left_out=False,
        why="makes objects and initialises no work item",
        size=32,
    ),
)
_THIRD = ("queue_work_on", "queue_delayed_work_on", "mod_delayed_work_on")
"""Functions whose third argument is the object; of others it is the first."""


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
    given_back: bool = False
    """Whether it was a call that gives something back, as others of the module make as well: then
    that may have been given back before."""


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
            makers, why = _makers(session, backtrace, frame, module, modules, family)
            if makers:
                return WarnedObject(module.name, None, makers, why)
            return WarnedObject(module.name, None, _setters(family, code), family.why)
    told = _told(session, backtrace, frame)
    called = next((one for one in reversed(backtrace.crash_path) if one.index < frame.index), None)
    if called is None or _GIVES_BACK.search(called.function) is None:
        return WarnedObject(module.name, told)
    reader = SessionReader(session)
    code = inner_functions(session, module, reader)
    name, user = base_name(called.function), base_name(frame.function)
    others = [one for one in code if name in one.outside and base_name(one.name) != user]
    left = _left_there(uses_of(reader, code), name, user)
    why = f"calls {name} for the same field, and leaves that as it was" if left else ""
    return WarnedObject(module.name, told, left[:_MOST], why, given_back=bool(others))


def _left_there(uses: dict[str, FieldUse], called: str, user: str) -> tuple[str, ...]:
    """Who gives back what a field tells, as another does, and leaves field and object there."""

    def given(use: FieldUse) -> Iterator[Value]:
        calls_ = (call for call in use.handed if call.name == called and not call.own)
        return (one for call in calls_ for one in call.arguments if one.kind == "loaded" and one.of)

    keys = {one.number for one in given(uses[user])} if user in uses else set()
    found = []
    for name, use in uses.items():
        gone = {within(value)[0] for _, value in use.freed}
        mine = [one for one in given(use) if one.number in keys and one.of is not None]
        kept = [one for one in mine if one.of is not None and within(one.of)[0] not in gone]
        if name != user and any(one.number not in use.touches for one in kept):
            found.append(name)
    return tuple(found)


def _setters(family: _Family, code: list[ModuleFunction]) -> tuple[str, ...]:
    """Those first that store no function of the module; none if there are too many to tell."""
    found = [one for one in code if any(family.sets_up.fullmatch(name) for name in one.outside)]
    if family.left_out:
        found = [one for one in code if allocates(one) and one not in found]
    starts = {one.start for one in code}
    found.sort(key=lambda one: bool(one.refers & starts))
    names = named(found)
    return names if len(names) <= _MOST else ()


def _makers(
    session: Session,
    backtrace: Backtrace,
    frame: Frame,
    module: Module,
    modules: Modules,
    family: _Family,
) -> tuple[tuple[str, ...], str]:
    """Who makes objects as that which was handed over is part of, and does not set it up."""
    inner = next((one for one in reversed(backtrace.crash_path) if one.index < frame.index), None)
    third = inner is not None and inner.function in _THIRD
    value = _argument(session, backtrace, frame, "rdx" if third else "rdi")
    owner = owner_of(session, modules, value) if value else None
    if owner is None or owner.slab is None or owner.offset is None:
        return (), ""
    reader = SessionReader(session)
    code = inner_functions(session, module, reader)
    uses = uses_of(reader, code)
    part = (owner.slab, owner.offset)
    found = omitting(session, modules, module, *part, uses, code, family.size)
    why = f"{family.why}, where others who make such do"
    if not found:
        found = setting_at_times(session, modules, module, *part, family.size)
        why = "makes such objects, and sets that up on some ways only"
        setting = _setting_up(family, uses, owner.offset)
        if setting and not {*found} & {*setting}:
            found, why = setting, "sets that up, which who makes such objects does not"
            spared = siblings(Ownership(session, modules, module), setting, uses)
            if spared:
                found = spared
                why = "is handed such objects in place of who sets that up, and does not"
    return (found, why) if len(found) <= _MOST else ((), "")


def _setting_up(family: _Family, uses: dict[str, FieldUse], offset: int) -> tuple[str, ...]:
    """Who has the kernel set up what lies there in what it has a pointer to."""
    return tuple(
        name
        for name, use in uses.items()
        if any(
            family.sets_up.fullmatch(call.name) and within(call.arguments[0])[1] == offset
            for call in use.handed
            if not call.own
        )
    )


def _argument(session: Session, backtrace: Backtrace, frame: Frame, register: str) -> int | None:
    """What a frame's call has in a register."""
    found = calls(session, backtrace, None)
    position = next((i for i, one in enumerate(found.frames) if one.index == frame.index), None)
    if position is None:
        return None
    there = (one for one in backtrace.crash_path if one.index == frame.index and not one.inline)
    jumped = any(one.function != frame.function for one in there)
    context = found.context(position - 1 if jumped and position else position)
    if context is None:
        return None
    if jumped:
        # The call on the stack is that of the function which jumped on.
        return found.tracer.entering(context, register)
    return found.tracer.value(context, register, context.at)


def _told(session: Session, backtrace: Backtrace, frame: Frame) -> str | None:
    """The first argument of a frame's call, where it is a number or a name."""
    value = _argument(session, backtrace, frame, "rdi")
    if not value:
        return None
    if value < _LARGEST_NUMBER:
        return str(value)
    data = SessionReader(session).read(value, _LONGEST_NAME)
    match = _NAME.match(data) if data else None
    name = match[0][:-1].decode("ascii") if match is not None else ""
    return repr(name) if len(name) >= _SHORTEST_NAME else None
