"""Who of a module can have written the text that replaced a pointer in its object or variable.

The function that follows such a pointer is a victim. Text gets over a pointer by a copy, of which
only the module that the object belongs to, or is handed to, makes any.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.corruption.overrun import run_around
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.module_roles import inner_functions, named, writers
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import BytesPointer, ModulePointer
from oopsight.session import Session

_MOST = 3
_MOST_BEFORE = 128
_PRINTABLE = range(0x20, 0x7F)
_LEAST_LETTERS = 5
"""Of the eight bytes, from the first; the rest is the text's end."""


@dataclass(frozen=True)
class TextWriters:
    """A pointer that is text, and who can have put it there."""

    text: str
    module: ModulePointer
    functions: tuple[str, ...]
    """Those that copy memory, the most suspect first."""
    run: BytesPointer | None = None
    """In a module's data, the text from where it begins, if that is before the pointer."""


def letters(value: int) -> str:
    r"""What a word spells; empty where it is no text.

    The highest bytes may still be those of a pointer that text without an end was written over.

    >>> letters(0x322D72656C696F62), letters(0x00007265646F6365), letters(0xFF3265646F636544)
    ('boiler-2', 'ecoder', 'Decode2')
    >>> letters(0xFFFF888000204142)
    ''
    """
    data = value.to_bytes(8, "little")
    if data.endswith(b"\xff"):
        data = data.rstrip(b"\xff") + b"\0"
    text, _, rest = data.partition(b"\0")
    if len(text) < _LEAST_LETTERS or rest.strip(b"\0"):
        return ""
    return text.decode("ascii") if all(byte in _PRINTABLE for byte in text) else ""


def collect(session: Session, flow: DataFlow, modules: Modules) -> TextWriters | Missing:
    """Look at the bad value, and at the code of the module whose object it was read from."""
    none = Missing(Why.NOT_APPLICABLE, "no pointer that is kept was replaced by text")
    way = flow.first
    value = way.end.value if way.end is not None else way.value
    text = letters(int(value)) if value is not None and flow.of_a_pointer else ""
    module = _whose(way, modules)
    held = way.held_in
    if not text or module is None or held is None or held.kind not in ("slab", "module"):
        return none
    found = named(writers(inner_functions(session, module), set()))
    run = _run(session, int(held.address)) if held.kind == "module" else None
    return TextWriters(text, module.pointer, found[:_MOST], run) if found else none


def _run(session: Session, field: int) -> BytesPointer | None:
    """The text that goes on over a pointer from what lies before it."""
    from drgn import FaultError

    begin = field - _MOST_BEFORE
    try:
        data = session.read(begin, _MOST_BEFORE + 8)
    except FaultError:
        return None
    found = run_around(data, _MOST_BEFORE)
    if found is None or found[2] != "text":
        return None
    return BytesPointer(Address(begin + found[0]), data[found[0] : found[1]].hex())


def _whose(way: Way, modules: Modules) -> Module | None:
    """The module whose variable it is, that the object points to, or that read the pointer."""
    held = way.held_in
    names = [held.module] if held is not None and held.module is not None else []
    names += [ref.module for ref in held.slab.refers] if held is not None and held.slab else []
    names += [way.module] if way.module is not None else []
    foreign = {module.name: module for module in modules.loaded if module.taints}
    return next((foreign[name] for name in names if name in foreign), None)
