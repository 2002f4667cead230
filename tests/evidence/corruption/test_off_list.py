"""An entry that is on no list and was to be taken off one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import off_list
from oopsight.evidence.corruption.off_list import OffList, able, collect
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.modules.code_values import Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer

CODE = 0xFFFFFFFF81000000
ENTRY = 0xFFFF888003400000
# mov rax,[rbp+8]; mov rdx,[rbp]; mov [rdx+8],rax; mov [rax],rdx
UNLINK = bytes.fromhex("488b4508 488b5500 48894208 488910")
AHEAD, BACK = CODE + 8, CODE + 12
# mov rax,[rbp+8]; mov rdx,[rbx]; mov [rdx+8],rax: another object's
OTHER = bytes.fromhex("488b4508 488b13 48894208")
MODULES = made.modules(made.module("port", 0xFFFFFFFFC0300000, 0xFFFFFFFFC0301000, "O"))


class Reader:
    def __init__(self, code: bytes) -> None:
        self.code = code

    def function(self, _: int) -> tuple[str, int, int]:
        return "skb_dequeue", CODE, len(self.code)

    def read(self, _: int, size: int) -> bytes:
        return self.code[:size]


def found(
    monkeypatch: pytest.MonkeyPatch,
    code: bytes = UNLINK,
    pc: int = AHEAD,
    link: int = 0,
    name: str | None = "struct sk_buff_head.next",
    state: str = "allocated",
    value: int = 0,
    heads: tuple[int, ...] = (),
    bad: str = "",
    uses: Any = None,
) -> OffList | Missing:
    slab = made.slab_object(state)
    owner = made.owner(ENTRY, "slab", slab=slab)
    monkeypatch.setattr(off_list, "SessionReader", lambda _: Reader(code))
    monkeypatch.setattr(off_list, "owner_of", lambda *_: owner)
    monkeypatch.setattr(off_list, "inner_functions", lambda *_: [])
    monkeypatch.setattr(off_list, "uses_of", lambda *_: uses or {})
    memory = BytesPointer(Address(ENTRY + link), "00" * 8)
    null = made.flow_step("loaded", "skb_dequeue", value, memory=memory)
    head = made.flow_step("loaded", "skb_dequeue", ENTRY)
    poison = made.owner(value, "poison", detail=bad)
    flow = made.data_flow(made.way(null), made.way(head, name=name), bad=poison)
    trace = made.backtrace(skb_dequeue=Role.FAULT, port_burst=Role.CALLER)
    frames = (trace.frames[0], replace(trace.frames[1], module="port"))
    fault = made.fault(8, pc=Address(pc), access="write")
    monkeypatch.setattr(off_list, "holding_variables", lambda *_: iter(heads))
    return collect(Machine().session, fault, flow, replace(trace, frames=frames), MODULES)


@pytest.mark.parametrize(("pc", "link"), [(AHEAD, 0), (BACK, 8)])
def test_either_link_may_be_null(monkeypatch: pytest.MonkeyPatch, pc: int, link: int) -> None:
    one = found(monkeypatch, pc=pc, link=link)
    assert isinstance(one, OffList)
    assert (one.entry.address, one.listed, one.module) == (ENTRY, True, "port")


def test_who_had_the_entry_by_a_pointer_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(monkeypatch, name="struct port.current")
    assert isinstance(one, OffList)
    assert not one.listed


def test_what_was_deleted_and_is_the_first_of_a_chain_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deleted = 0xDEAD000000000122
    changes: Any = {"bad": "LIST_POISON2", "value": deleted, "name": "struct port.current"}
    one = found(monkeypatch, **changes, heads=(1,))
    assert isinstance(one, OffList)
    assert (one.poisoned, one.listed) == (True, True)
    other = found(monkeypatch, **changes)
    assert isinstance(other, OffList)
    assert not other.listed


@pytest.mark.parametrize("deletes", [False, True])
def test_who_goes_along_a_chain(monkeypatch: pytest.MonkeyPatch, deletes: bool) -> None:
    entry = Value("argument", 1)
    takes = FieldUse((), (), counts=False, taken_off=((entry, 0),))
    uses = {"skb_dequeue": takes} if deletes else {}
    changes: Any = {"bad": "LIST_POISON1", "value": 0xDEAD000000000100, "pc": CODE + 4}
    one = found(monkeypatch, **changes, uses=uses)
    assert isinstance(one, OffList) is not deletes
    assert deletes or (isinstance(one, OffList) and one.walked)


@pytest.mark.parametrize(
    "changes",
    [{"code": OTHER, "pc": CODE + 7}, {"pc": CODE + 4}, {"state": "free"}, {"value": 0x18}],
)
def test_other_stores_and_other_values(monkeypatch: pytest.MonkeyPatch, changes: Any) -> None:
    assert isinstance(found(monkeypatch, **changes), Missing)


def test_who_can_have_been_before() -> None:
    packet, head = Value("argument", 1), Value("argument", 2)
    last = Value("loaded", 8, head)
    adds = FieldUse(
        (), (), counts=False, written=((8, packet), (8, head)), pointers=((8, last), (8, packet))
    )
    takes = FieldUse((), (), counts=False, taken_off=((packet, 0),))
    uses = {"port_write": adds, "port_new": adds, "port_drop": takes, "port_get": takes}
    calls = {"port_write": "_raw_spin_lock", "port_new": "__alloc_skb", "port_get": "mutex_lock"}
    code = [
        ModuleFunction(name, CODE, frozenset([calls.get(name, "")]), frozenset(), copies=False)
        for name in uses
    ]
    assert able(uses, code) == ((), ("port_write",), ())
    # Where most take a lock, the one that does not comes before others.
    locked = [replace(one, calls=one.calls | {"_raw_spin_lock"}) for one in code[:2]]
    assert able(uses, [*locked, *code[2:]])[2] == ("port_drop",)
