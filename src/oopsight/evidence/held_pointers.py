"""Pointers that the kernel holds, read by C type, address and member; those that lead nowhere."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from oopsight.cheap import dataclass
from oopsight.evidence import Address
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import Memory, Variable
from oopsight.text import printable

if TYPE_CHECKING:
    from drgn import Program, Type

Label = str | Callable[[], str]
"""What an entry calls itself; a function where finding that out costs something."""
PAGE = 4096
_WORD = struct.Struct("<Q")
_MOST_PROGRAMS = 20_000
MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Dangling:
    """One pointer into the module area where no module is loaded."""

    registry: str
    """What it hangs on: ``slab_caches``, ``timers`` …"""
    thing: str
    """What hangs there: ``slab cache``, ``timer`` …"""
    label: str
    """What the object calls itself where that can still be read."""
    target: Address
    memory: Memory | Variable
    node: int = 0
    """Where in its object the pointer leads to: lists link the nodes within their entries."""

    @property
    def begin(self) -> Address:
        """Where the object began that is gone."""
        return Address(self.target - self.node)

    @property
    def holder(self) -> str:
        """What holds the pointer, by kind and name: ``slab cache 'inodes'``."""
        if self.label not in self.thing:
            return f"{self.thing} {self.label!r}"
        return f"{'an' if self.thing[0] in 'aeioR' else 'a'} {self.thing}"

    @property
    def slot(self) -> str:
        """The pointer itself, ``kmem_cache.name``."""
        if isinstance(self.memory, Variable):
            return f"{self.memory.name}+{self.memory.offset:#x}"
        return f"{self.memory.object_type.removeprefix('struct ')}.{self.memory.member}"


class ExhaustedError(Exception):
    """A registry holds more entries than are looked at."""


class HeldPointers:
    """Reads pointers by C type, address and member, and keeps those that lead to a gone module.

    Works on numbers: a ``drgn.Object`` for each of some ten thousand entries would cost seconds.
    """

    def __init__(self, prog: Program, modules: Modules, most: int, *, near: int | None) -> None:
        from drgn import FaultError

        self.prog = prog
        self._fault_error = FaultError
        self.modules = modules
        self.near = near
        """The bad address, where it lies in the module area: then no effort is spared."""
        self.typed = "init_task" in prog and "tasklet_vec" in prog
        """Whether the symbols tell the types of all variables, so that what is not found is not
        there; symbols out of the dump itself tell only some."""
        self.registry = self.thing = ""
        self.found: list[Dangling] = []
        self.unchecked: list[str] = []
        self._most = most
        self._left = most
        self._types: dict[str, Type] = {}
        self._offsets: dict[tuple[str, str], int] = {}
        self._spans: dict[tuple[str, tuple[str, ...]], tuple[int, int, list[int]]] = {}
        self._gone: dict[int, bool] = {}
        self._seen: set[int] = set()
        self._programs: list[tuple[int, int]] | None = None
        self.area = self._low, self._high = modules.area or (0, 0)
        """Where modules are loaded: of the pointers into it :meth:`gone` tells more."""

    def explains(self, address: int) -> bool:
        """Whether a pointer was found that leads to an address, or to less than a page before."""
        return any(found.begin <= address < found.begin + PAGE for found in self.found)

    def start(self, registry: str, thing: str) -> None:
        """Begin with another registry."""
        self.registry, self.thing = registry, thing
        self._left = self._most

    def type(self, name: str) -> Type:
        """Look a C type up, once."""
        if name not in self._types:
            self._types[name] = self.prog.type(name)
        return self._types[name]

    def offset(self, type_name: str, member: str) -> int:
        """Return a member's offset, ``a.b[1].c`` included.

        :raises LookupError: if the kernel's type has no such member
        """
        key = type_name, member
        if key not in self._offsets:
            from drgn import offsetof

            self._offsets[key] = offsetof(self.type(type_name), member)
        return self._offsets[key]

    def has(self, type_name: str, member: str) -> bool:
        """Whether this kernel's type has the member."""
        try:
            self.offset(type_name, member)
        except LookupError:
            return False
        return True

    def variable(self, name: str, type_name: str | None = None) -> Any:
        """Return a global variable; its type is needed where the symbols do not tell types.

        :raises LookupError: if this kernel has none of that name
        """
        try:
            return self.prog[name]
        except KeyError:
            if type_name is None:
                raise
            from drgn import Object

            return Object(self.prog, type_name, address=self.prog.symbol(name).address)

    def symbol(self, name: str) -> int:
        """Return the address of a function or variable.

        :raises LookupError: if this kernel has none of that name
        """
        try:
            address: int | None = self.prog[name].address_
        except KeyError:
            address = None
        # The symbol table has no index by name: a millisecond.
        return int(self.prog.symbol(name).address) if address is None else address

    def read(self, type_name: str, address: int, member: str) -> int:
        """Read a pointer-sized member."""
        value: int = self.prog.read_u64(address + self.offset(type_name, member))
        return value

    def words(self, address: int, count: int) -> tuple[int, ...]:
        """Read several words, little endian, at once."""
        return struct.unpack(f"<{count}Q", self.prog.read(address, 8 * count))

    def string(self, address: int) -> str:
        """Read a name, escaped; ``unnamed`` where it cannot be read."""
        if not address:
            return "unnamed"
        try:
            raw = self.prog.read_c_string(address, max_size=64)
        except self._fault_error:
            return "unnamed"
        return printable(raw) or "unnamed"

    def gone(self, address: int) -> bool:
        """Whether the address lies where modules are loaded, and none is, nor a BPF program."""
        if not self._low <= address < self._high:
            return False
        if address not in self._gone:
            self._gone[address] = self.modules.owner(address) is None and not any(
                start <= address < end for start, end in self._bpf_programs()
            )
        return self._gone[address]

    def at(
        self,
        type_name: str,
        address: int,
        member: str,
        label: Label,
        *,
        mask: int = MASK,
        node: int = 0,
    ) -> int:
        """Look at one pointer; keep it if it leads to a gone module.

        :param mask: for pointers that carry flags
        :param node: offset in its object of what the pointer leads to
        :return: its value, flags removed
        :raises drgn.FaultError: if it cannot be read
        :raises ExhaustedError: if the registry is too large
        """
        self.spend()
        place = address + self.offset(type_name, member)
        value: int = self.prog.read_u64(place)
        if self._low <= value < self._high and self.gone(value & mask):
            name = label if isinstance(label, str) else self._name(label)
            self._keep(
                name,
                value & mask,
                Memory(
                    type_name,
                    Address(address),
                    member,
                    Address(place),
                    value.to_bytes(8, "little").hex(),
                ),
                node,
            )
        return value & mask

    def all_at(
        self, type_name: str, address: int, members: tuple[str, ...], label: Label
    ) -> tuple[int, ...]:
        """Look at several pointers of one object, as :meth:`at` does, by one read.

        :return: their values, in the order of the members
        """
        first, size, places = self._span(type_name, members)
        try:
            data = self.prog.read(address + first, size)
        except self._fault_error:  # some of them may be readable
            return tuple(self.at(type_name, address, member, label) for member in members)
        unpack, low, high = _WORD.unpack_from, self._low, self._high
        values = tuple([unpack(data, place)[0] for place in places])
        among = [m for m, value in zip(members, values, strict=True) if low <= value < high]
        self.spend(len(values) - len(among))
        for member in among:
            self.at(type_name, address, member, label)
        return values

    def _span(self, type_name: str, members: tuple[str, ...]) -> tuple[int, int, list[int]]:
        """Offset and size of the part that holds some pointers, and where each lies in it."""
        key = type_name, members
        if key not in self._spans:
            offsets = [self.offset(type_name, member) for member in members]
            first = min(offsets)
            places = [offset - first for offset in offsets]
            self._spans[key] = first, max(places) + _WORD.size, places
        return self._spans[key]

    def word(self, symbol: str, base: int, offset: int, value: int, label: str) -> None:
        """Look at a pointer in a global variable that is no struct, already read.

        :param base: address of the symbol
        :param offset: of the pointer from there, bytes
        """
        if self.gone(value):
            held = value.to_bytes(8, "little").hex()
            memory = Variable(symbol, offset, Address(base + offset), held)
            self._keep(label, value, memory)

    def _name(self, label: Callable[[], str]) -> str:
        """Find out what an entry calls itself; what was found counts without a name, too."""
        try:
            return label()
        except (self._fault_error, LookupError, AttributeError, ValueError):
            return "unnamed"

    def spend(self, count: int = 1) -> None:
        """Count entries.

        :raises ExhaustedError: if the registry is too large
        """
        self._left -= count
        if self._left < 0:
            raise ExhaustedError

    def in_area(self, address: int) -> bool:
        """Whether an address lies where modules are loaded; few do, the others need no look."""
        return self._low <= address < self._high

    def _keep(self, label: str, value: int, memory: Memory | Variable, node: int = 0) -> None:
        if memory.address not in self._seen:
            self._seen.add(memory.address)
            self.found.append(
                Dangling(self.registry, self.thing, label, Address(value), memory, node)
            )

    def part(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Keep what cannot be read here from ending the whole registry."""
        return _Part(self, name)

    def cannot(self, name: str, error: Exception) -> None:
        """Note what could not be looked through."""
        if isinstance(error, ExhaustedError):
            why = f"it holds more than the {self._most} pointers that are looked at"
        elif isinstance(error, self._fault_error):
            why = f"unreadable at {Address(error.address)}"
        elif isinstance(error, (LookupError, AttributeError)):
            why = f"this kernel keeps it otherwise, or not at all ({error.args[0]})"
        else:
            why = f"{type(error).__name__}: {error}"
        self.unchecked.append(f"{name}: {printable(why, 200)}")

    def _bpf_programs(self) -> list[tuple[int, int]]:
        """Half-open ranges of BPF programs and trampolines, which lie among the modules."""
        if self._programs is None:
            self._programs = []
            with contextlib.suppress(Exception):  # without BPF, or too damaged to tell
                head = self.prog["bpf_kallsyms"].address_
                link = self.prog.read_u64(head)
                for _ in range(_MOST_PROGRAMS):
                    if link == head:
                        break
                    at = link - self.offset("struct bpf_ksym", "lnode")
                    start = self.read("struct bpf_ksym", at, "start")
                    self._programs.append((start, self.read("struct bpf_ksym", at, "end")))
                    link = self.prog.read_u64(link)
        return self._programs


class _Part(contextlib.AbstractContextManager[None]):
    """Not made of a generator: there is one for each directory of sysfs."""

    def __init__(self, look: HeldPointers, name: str) -> None:
        self._look, self._name = look, name

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        # Whatever a damaged list leads to.
        if not isinstance(error, Exception) or isinstance(error, ExhaustedError):
            return False
        self._look.cannot(self._name, error)
        return True
