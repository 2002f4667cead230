"""Functions of modules that the kernel hands packets to, and which of them can keep one.

A protocol's or a sniffer's handler has to free what it is handed, or to hand it on. One that does
so on some paths and not on others leaks. A device's transmit function may refuse a packet, and then
must not free it.
"""

from __future__ import annotations

from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Address
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.look import Look
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.ownership import Ownership
from oopsight.evidence.pointers import Memory, ModulePointer
from oopsight.evidence.registries import netfilter_hooks, packet_types
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.held_locks import Held
from oopsight.kernel.lock_functions import PACKET
from oopsight.kernel.machine_code import (
    FRAME,
    MASK,
    Expression,
    address_registers,
    direct_target,
    memory_place,
    sets,
    stores,
)
from oopsight.kernel.omissions import comes_to
from oopsight.kernel.pointer_fate import FREES, KEEPS
from oopsight.plumbing import base_name
from oopsight.session import Session
from oopsight.walk import MOST_DEVICES, MOST_NETWORKS, each_once

_MOST_POINTERS = 20_000
_MOST_HANDLERS = 16
_DEVICE, _OPERATIONS = "struct net_device", "struct net_device_ops"
_BUSY = 0x10
"""NETDEV_TX_BUSY: the caller keeps the packet."""
_HOOKS = "struct nf_hook_entries"
_STOLEN = 2
"""NF_STOLEN: the hook has the packet from then on."""
_DEEPEST = 3
_FIRST = Expression("rdi", 0)


@dataclass(frozen=True)
class PacketHandler:
    """One function."""

    module: ModulePointer
    function: str
    slot: Memory
    """The kernel's pointer to it."""
    returns_at: str | None
    """Where it can return without having freed the packet, which it does on other paths; it, or
    the one of its module that it hands the packet to."""


class _Handlers(Look):
    """Keeps the pointers that lead into modules from outside the kernel."""

    def at(self, *args: Any, **options: Any) -> int:
        value = super().at(*args, **options)
        owner = self.modules.owner(value) if self.in_area(value) else None
        if owner is not None and "O" in owner.taints:
            type_name, address, member = args[:3]
            place = Address(address + self.offset(type_name, member))
            held = value.to_bytes(8, "little").hex()
            self._keep(member, value, Memory(type_name, Address(address), member, place, held))
        return value


def packet_handlers(session: Session, modules: Modules) -> tuple[PacketHandler, ...]:
    """Handlers that receive or send, those first that can keep a packet."""
    look = _Handlers(session.prog, modules, _MOST_POINTERS, near=None)
    for registry in (packet_types.search, netfilter_hooks.search, _senders):
        look.start("packets", "packet handler")
        try:
            registry(look)
        except Exception as error:  # noqa: BLE001  # one registry must not hide the others
            look.cannot(registry.__module__, error)
    reader = StackReader(session, modules)
    found: dict[int, PacketHandler] = {}
    for pointer in look.found:
        target, owner = int(pointer.target), modules.owner(pointer.target)
        name, start, _ = reader.names.code(target)
        if start != target or owner is None or not isinstance(pointer.memory, Memory):
            continue
        if target not in found and len(found) < _MOST_HANDLERS:
            code = Ownership(session, modules, owner)
            function, returns = base_name(name), None
            if pointer.memory.object_type == _HOOKS:
                inner = _stolen(reader, code, target, "rsi", _DEEPEST)
                if inner is None:
                    continue  # the kernel frees what it does not take
            else:
                returns = _returns(reader, target, name)
                inner = _inner(reader, code, target) if returns is None else None
            if inner is not None:
                function, returns = inner
            found[target] = PacketHandler(owner.pointer, function, pointer.memory, returns)
    return tuple(sorted(found.values(), key=lambda one: one.returns_at is None))


def _senders(look: Look) -> None:
    """``ndo_start_xmit`` of all devices."""
    from drgn.helpers.linux.net import for_each_net, for_each_netdev

    for net in each_once(for_each_net(look.prog), MOST_NETWORKS):
        for device in each_once(for_each_netdev(net), MOST_DEVICES):
            with look.part("devices"):
                operations = look.read(_DEVICE, device.value_(), "netdev_ops")
                look.at(_OPERATIONS, operations, "ndo_start_xmit", "device")


def _returns(reader: StackReader, start: int, name: str) -> str | None:
    """Where a handler can return with the packet that it was handed."""
    function = reader.function(start)
    given = Held(PACKET, _FIRST, start & MASK, name)
    if function is None or _refuses(function):
        return None
    leaks = function.entered_with(given)
    return f"{base_name(name)}+{leaks[0].returns - start:#x}" if leaks else None


def _refuses(function: Function) -> bool:
    """Whether it may leave the packet to who called it."""
    return any(sets(row, "rax", _BUSY) for row in function.code.values())


def _inner(reader: StackReader, code: Ownership, start: int) -> tuple[str, str] | None:
    """The function that a handler hands the packet to, if that keeps it on some ways only."""
    function = reader.function(start)
    if function is None or _refuses(function):
        return None
    for at, row in function.code.items():
        calls = row.mnemonic in ("call", "jmp")
        one = code.by_start.get(direct_target(row) or 0) if calls else None
        inner = reader.function(one.start) if one is not None else None
        if one is None or inner is None or _refuses(inner):
            continue
        for register in ARGUMENTS:
            if function.registers(at).get(register) != _FIRST:
                continue
            known = code.handed(one, register)
            if known is not None and known.lost and (known.kept or known.freed):
                name = base_name(one.name)
                return name, f"{name}+{known.lost[0] - one.start:#x}"
    return None


def _stolen(
    reader: StackReader, code: Ownership, start: int, register: str, depth: int
) -> tuple[str, str] | None:
    """Where a hook, or a function that it hands the packet to, says that it has it and has not.

    :param register: the one that the packet is handed in
    """
    function, one = reader.function(start), code.by_start.get(start)
    if function is None or one is None:
        return None
    packet = Expression(register, 0)
    taken: list[int] = []
    for at, row in function.code.items():
        registers = function.registers(at)
        held = [name for name, value in registers.items() if value == packet]
        if row.mnemonic in ("call", "jmp") and direct_target(row) not in function.code:
            target = direct_target(row)
            handed = [name for name in ARGUMENTS if name in held]
            for name in handed if depth else ():
                inner = _stolen(reader, code, target or 0, name, depth - 1)
                if inner is not None:
                    return inner
            if any(code.does(target, name) in (FREES, KEEPS) for name in handed):
                taken.append(at)
        elif stores(row) and set(row.read) & set(held) - set(address_registers(row)):
            place = memory_place(row, registers)
            if place is None or place.base != FRAME:
                taken.append(at)
    says = [at for at, row in function.code.items() if sets(row, "rax", _STOLEN)]
    lost = next((at for at in says if comes_to(function, start, at, taken)), None)
    name = base_name(one.name)
    return (name, f"{name}+{lost - start:#x}") if lost is not None and taken else None
