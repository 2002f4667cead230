"""What the kernel was told about memory that it writes to itself, where that is more than is there.

A file under ``/proc/sys``, one of debugfs or a module's parameter has a pointer to memory, and
tells how much there is: by a number, or by its kind. If a pointer lies within that, which the
driver follows, the kernel was told too much; whoever writes to the file writes over the pointer.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import Any

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.look import Look
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.code_values import within
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.init_function import init_function
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer
from oopsight.evidence.registries import debugfs_files, sysctl_tables
from oopsight.plumbing import base_name
from oopsight.session import Session
from oopsight.text import c_string, printable

_MOST = 100_000
"""Entries of one registry."""
_MOST_PARAMETERS = 1024
_LARGEST = 1 << 16
_WORD = 8
_GOES_BY_SIZE = "proc_do"
_NUMBER = re.compile(r"(?:debugfs_|param_)?(?:f?ops_)?(?:u|x|int)?(8|16|32|64)(?:_[rw]o)?$")
_WIDTHS = {
    "size_t": 8,
    **dict.fromkeys(("ulong", "long", "ullong"), 8),
    **dict.fromkeys(("int", "uint", "atomic_t"), 4),
    **dict.fromkeys(("short", "ushort"), 2),
    **dict.fromkeys(("bool", "byte"), 1),
}
_OF_FILES = re.compile(r"fops_(?P<kind>\w+?)(?:_[rw]o)?$")
_OF_PARAMETERS = re.compile(r"param_ops_(?P<kind>\w+)$")


@dataclass(frozen=True)
class Told:
    """What the kernel was told, and where that is kept."""

    what: str
    """``sysctl 'banner/class0'``."""
    data: Address
    size: int
    record: Address
    """Of the record, the word that points to the memory."""
    by: tuple[str, ...]
    """Patterns of the functions that tell such things; none where the record is the module's own
    data from the beginning."""
    stored: bool = False
    """Whether the size is kept as a number."""


@dataclass(frozen=True)
class ToldSizes:
    """What the kernel was told of memory in which a bad pointer lies."""

    told: Told
    module: str
    memory: BytesPointer
    """The pointer to the memory, in the record."""
    functions: tuple[str, ...]
    """Who told that."""


def collect(
    session: Session, flow: DataFlow | Missing, users: ObjectUsers | Missing, modules: Modules
) -> ToldSizes | Missing:
    """Look for a record of memory in which the bad pointer lies."""
    none = Missing(Why.NOT_APPLICABLE, "the kernel was told of no memory in which the pointer lies")
    place = _place(flow, users)
    if place is None:
        return none
    for told in _all_told(session, modules, place):
        if told.data < place < told.data + told.size:
            module = _module_of(modules, told, flow, users)
            if module is not None:
                return ToldSizes(
                    told,
                    module.name,
                    BytesPointer(told.record, int(told.data).to_bytes(_WORD, "little").hex()),
                    _who(session, module, told, _begin(flow, users)),
                )
    return none


def _place(flow: DataFlow | Missing, users: ObjectUsers | Missing) -> int | None:
    """Where the bad pointer lies that was read, or the last that was written over."""
    if isinstance(flow, DataFlow) and flow.of_a_pointer and flow.first.ended == "loaded":
        held, bad = flow.first.held_in, flow.bad
        if held is None or held.kind not in ("slab", "module", "vmalloc", "page"):
            return None
        return None if bad is None or bad.is_memory else int(held.address)
    if isinstance(users, ObjectUsers) and users.overrun is not None:
        return users.overrun.end - 1
    return None


def _all_told(session: Session, modules: Modules, place: int) -> Iterator[Told]:
    """All that it was told of memory a little before a place; what cannot be read is left out."""
    from drgn import FaultError

    for search in (_sysctls, _debugfs_files, _parameters):
        try:
            yield from search(session, modules, place)
        except (FaultError, LookupError, AttributeError, ValueError, SymbolError):
            continue


def _sysctls(session: Session, modules: Modules, place: int) -> Iterator[Told]:
    look = Look(session.prog, modules, _MOST, near=None)
    table = "struct ctl_table"
    at = {name: look.offset(table, name) for name in ("data", "maxlen", "proc_handler")}
    size = look.type(table).size or 1
    for path, entry in sysctl_tables.entries(look):
        row = look.prog.read(entry, size)
        data, most = _number(row, at["data"], 8), _number(row, at["maxlen"], 4)
        handler = _number(row, at["proc_handler"], 8)
        if 0 < place - data < most <= _LARGEST and _writes(session, modules, handler):
            by = sysctl_tables.REGISTERS
            yield Told(
                f"sysctl {path()!r}", Address(data), most, Address(entry + at["data"]), by, True
            )


def _writes(session: Session, modules: Modules, handler: int) -> bool:
    """Whether a handler is one of the kernel's that go by the size, or calls one."""
    module = modules.owner(handler)
    if module is None:
        return _name_at(session, handler).startswith(_GOES_BY_SIZE)
    code = next((o for o in inner_functions(session, module) if o.start == handler), None)
    return code is not None and any(name.startswith(_GOES_BY_SIZE) for name in code.outside)


def _debugfs_files(session: Session, modules: Modules, place: int) -> Iterator[Told]:
    look = Look(session.prog, modules, _MOST, near=None)
    data_at = look.offset("struct inode", "i_private")
    for path, inode, operations in debugfs_files.files(look):
        data = _number(look.prog.read(inode + data_at, _WORD), 0, _WORD)
        if not 0 < place - data < _WORD:
            continue
        match = _OF_FILES.match(_name_at(session, operations))
        width = _width(match["kind"]) if match is not None else None
        if match is not None and width is not None:
            by = (f"debugfs_create_{match['kind']}",)
            yield Told(f"debugfs file {path!r}", Address(data), width, Address(inode + data_at), by)


def _parameters(session: Session, modules: Modules, place: int) -> Iterator[Told]:
    """Parameters of the modules from outside the kernel's tree, which sysfs lets be written."""
    from drgn.helpers.linux.module import find_module

    for module in modules.loaded:
        found = find_module(session.prog, module.name) if module.taints else None
        if not found:
            continue
        for number in range(min(found.num_kp.value_(), _MOST_PARAMETERS)):
            one: Any = found.kp[number]
            match = _OF_PARAMETERS.match(_name_at(session, one.ops.value_()))
            kind = match["kind"] if match is not None else ""
            name = f"parameter {printable(c_string(one.name))!r} of {module.name}"
            if kind == "string":
                text = one.str
                data, size, record = text.string.value_(), text.maxlen.value_(), text.string
            else:
                data, size, record = one.arg.value_(), _width(kind) or 0, one.arg
            if 0 < place - data < size <= _LARGEST:
                yield Told(name, Address(data), int(size), Address(record.address_ or 0), ())


def _width(kind: str) -> int | None:
    """Bytes of a number of that kind.

    >>> _width("u64"), _width("x8"), _width("bool"), _width("blob")
    (8, 1, 1, None)
    """
    if kind in _WIDTHS:
        return _WIDTHS[kind]
    match = _NUMBER.match(kind)
    return int(match[1]) // 8 if match is not None else None


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _name_at(session: Session, address: int) -> str:
    try:
        return str(session.prog.symbol(address).name)
    except LookupError:
        return ""


def _module_of(
    modules: Modules,
    told: Told,
    flow: DataFlow | Missing,
    users: ObjectUsers | Missing,
) -> Module | None:
    """Whose the memory is, or the record, or who met the pointer there."""
    names: list[str | None] = []
    owner = modules.owner(told.data) or modules.owner(told.record)
    names.append(owner.name if owner is not None else None)
    if isinstance(users, ObjectUsers):
        names += [use.module for use in users.modules[:1]]
    if isinstance(flow, DataFlow):
        names += [step.module for way in flow.ways[:2] for step in way.steps]
    known = {module.name: module for module in modules.loaded if module.taints}
    return next((known[name] for name in names if name in known), None)


def _begin(flow: DataFlow | Missing, users: ObjectUsers | Missing) -> int:
    """Where the object begins in which the memory lies; 0 where that is not known."""
    if isinstance(users, ObjectUsers) and users.overrun is not None:
        return int(users.overrun.before.address)
    held = flow.first.held_in if isinstance(flow, DataFlow) else None
    return int(held.slab.address) if held is not None and held.slab is not None else 0


def _who(session: Session, module: Module, told: Told, begin: int) -> tuple[str, ...]:
    """Functions that have the size as a number and store it; else those that tell such things.

    :param begin: where the object begins in which the memory lies
    """
    reader = SessionReader(session)
    inner = inner_functions(session, module, reader)
    if told.stored:
        calls = Calls(reader, (), {})
        setting = tuple(
            dict.fromkeys(base_name(o.name) for o in inner if _stores(calls, o, told.size))
        )
        if setting:
            return setting
    telling = [one for one in inner if _calls(one, told.by)]
    if not telling:
        return (init_function(session, module.name),) if told.by else ()
    uses = uses_of(reader, telling)
    exact = [name for name, use in uses.items() if _tells(use, told, begin)]
    return tuple(exact or dict.fromkeys(base_name(one.name) for one in telling))


def _calls(one: ModuleFunction, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in one.outside for pattern in patterns)


def _stores(calls: Calls, one: ModuleFunction, number: int) -> bool:
    """Whether a function stores a number of four bytes in memory."""
    code = calls.function(one.start)
    return code is not None and any(
        row.mnemonic == "mov"
        and row.operands[0].memory is not None
        and row.operands[0].memory.size == 4
        and row.operands[1].immediate == number
        for row in code.instructions
    )


def _tells(use: FieldUse, told: Told, begin: int) -> bool:
    """Whether it tells of memory that is as far in what it has as this is in its object."""
    for call in use.handed:
        if not any(fnmatch.fnmatchcase(call.name, pattern) for pattern in told.by):
            continue
        for value in call.arguments:
            base, far = within(value)
            if value.kind == "number" and value.number == int(told.data):
                return True
            if base is not value and far and begin and begin + far == told.data:
                return True
    return False
