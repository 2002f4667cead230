"""Who should have stored a device's driver data, where no function of its driver ever does.

What binds the device is called through the same table as what unbinds it, or through the table that
the device points to; it is what makes the objects that belong there.
"""

from __future__ import annotations

import array

from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.code_values import Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import Layout, text_key
from oopsight.evidence.modules.known_calls import HANDS_DATA
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import allocates, named, tables_with
from oopsight.evidence.modules.modules import Module
from oopsight.evidence.modules.skipping import filling
from oopsight.plumbing import base_name
from oopsight.session import Session

_MANAGED = ("devm_kmalloc", "devm_kzalloc", "devm_kmemdup")
_LARGEST_TABLE = 4096


def never_stored(
    session: Session,
    module: Module,
    way: Way,
    backtrace: Backtrace,
    uses: dict[str, FieldUse],
    code: list[ModuleFunction],
    known: Layout,
) -> tuple[str, ...]:
    """Who makes objects when it is called through a table for devices, and stores none of them.

    Nobody, where the NULL was not read from a device's driver data, or some function stores there.
    """
    end = way.end
    if way.ended != "loaded" or way.module != module.name or end is None or end.value != 0:
        return ()
    if text_key(way) not in known.driver_data or filling(way, uses, known):
        return ()
    starts = {one.start: one for one in code}
    # Who read it may have jumped on, and have no frame.
    path = {base_name(way.function), *(base_name(f.function) for f in backtrace.crash_path)}
    reader = [one.start for one in code if base_name(one.name) in path]
    tables = {at for start in reader for at in tables_with(session, module, start)}
    slab = way.held_in.slab if way.held_in is not None else None
    tables |= (
        {int(ref.value) for ref in slab.refers if ref.module == module.name} if slab else set()
    )
    called = {value for at in tables for value in _words(session, at) if value in starts}
    makers = {base_name(one.name) for one in code if _makes(one)}
    return tuple(
        name
        for name in named(starts[start] for start in sorted(called))
        if name not in path and _reach(name, code) & makers
    )


def handing_none(
    way: Way, uses: dict[str, FieldUse], known: Layout, module: str
) -> tuple[str, ...]:
    """Who tells the kernel NULL for what callbacks get, where others tell it something.

    Nobody, where the NULL was not read from the kernel's own, or some function stores there.
    """
    end = way.end
    if way.module != module or end is None or end.value != 0 or filling(way, uses, known):
        return ()
    if way.ended == "loaded" and text_key(way) not in known.driver_data:
        return ()
    told: dict[str, dict[str, bool]] = {}
    for name, use in uses.items():
        for call in use.handed:
            number = None if call.own else HANDS_DATA.get(call.name.removeprefix("devm_"))
            if number is not None:
                none = call.arguments[number] == Value("number", 0)
                told.setdefault(call.name, {})[name] = none
    return tuple(
        name
        for each in told.values()
        if not all(each.values())
        for name, none in each.items()
        if none
    )


def _makes(one: ModuleFunction) -> bool:
    return allocates(one) or any(name.startswith(_MANAGED) for name in one.outside)


def _words(session: Session, address: int) -> list[int]:
    """What a variable holds, from where it begins."""
    from drgn import FaultError

    try:
        symbol = session.prog.symbol(address)
        data = session.prog.read(symbol.address, min(symbol.size, _LARGEST_TABLE) & ~7)
    except (LookupError, FaultError):
        return []
    return list(array.array("Q", data))


def _reach(name: str, code: list[ModuleFunction]) -> set[str]:
    """A function, and those of the module that it calls, and so on."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            own = (base_name(c) for f in code if base_name(f.name) == one for c in f.calls & f.own)
            waiting += own
    return found
