"""A list's head that nobody set up, met by a loop assembled by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import empty_head
from oopsight.evidence.corruption.empty_head import EmptyHead, collect
from oopsight.evidence.crash.fault import Operand
from oopsight.evidence.exhaustion.allocators import Allocator
from oopsight.evidence.modules import head_setters
from oopsight.evidence.modules.field_code import FieldUse, Stored
from oopsight.evidence.modules.module_code import ModuleFunction

MODULE = 0xFFFFFFFFC0300000
TICK, PORTS = MODULE + 0x10, MODULE + 0x800
HEAD = PORTS + 0x40
# mov rax,[rdx]; cmp rax,rdx; je; mov ecx,[rax+0x10]; mov rax,[rax]; cmp rax,rdx; jne; ret
CODE = bytes.fromhex("488b02 4839d0 740b 8b4810 488b00 4839d0 75f5 c3")
MODULES = made.modules(made.module("irports", MODULE, MODULE + 0x1000, "O"))
FAULT = made.fault(0x10, pc=Address(TICK + 8), operand=Operand("rax", Address(0), None, 16, None))

MAKERS = ("ports_open",)


class Reader:
    def __init__(self, head: bytes) -> None:
        self.memory = {TICK: CODE, HEAD: head}

    def function(self, _: int) -> tuple[str, int, int]:
        return "ports_tick", TICK, len(CODE)

    def read(self, address: int, size: int) -> bytes | None:
        found = self.memory.get(address)
        return found[:size] if found is not None else None


def found(monkeypatch: pytest.MonkeyPatch, head: bytes = bytes(16), **changes: Any) -> Any:
    machine = Machine()
    machine.symbols = {PORTS: ("ports", 96)}
    owner = made.owner(HEAD, "module", module="irports", symbol="ports", offset=0x40)
    owner = changes.get("owner", owner)
    frame = SimpleNamespace(registers={"rdx": HEAD, "rax": 0})
    uses = {"ports_tick": FieldUse((), changes.get("stores", ()), counts=False)}
    monkeypatch.setattr(empty_head, "SessionReader", lambda _: Reader(head))
    monkeypatch.setattr(empty_head, "calls", lambda *_: SimpleNamespace(frames=[frame]))
    monkeypatch.setattr(empty_head, "owner_of", lambda *_: owner)
    monkeypatch.setattr(head_setters, "SessionReader", lambda _: Reader(head))
    monkeypatch.setattr(head_setters, "inner_functions", lambda *_: changes.get("code", []))
    monkeypatch.setattr(head_setters, "uses_of", lambda *_: changes.get("uses", uses))
    made_by = tuple(Allocator(name, f"{name}+0x8") for name in changes.get("makers", MAKERS))
    monkeypatch.setattr(head_setters, "allocating", lambda *_: (made_by, True))
    return collect(
        machine.session,
        changes.get("fault", FAULT),
        made.backtrace(),
        MODULES,
        changes.get("flow", made.ABSENT),
        changes.get("report", made.ABSENT),
    )


def test_what_no_function_that_is_left_sets_up_the_initialisation_should_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = found(monkeypatch)
    assert isinstance(head, EmptyHead)
    assert (head.address, head.module) == (HEAD, "irports")
    assert (head.functions, head.by_init) == ((), True)


def test_who_sets_up_others_in_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    head = found(monkeypatch, stores=(Stored(PORTS, "itself", None),))
    assert (head.functions, head.by_init) == (("ports_tick",), False)


def test_who_makes_such_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = made.owner(HEAD, "slab", slab=made.slab_object())
    head = found(monkeypatch, owner=owner)
    assert (head.functions, head.by_init) == (("ports_open",), False)


def test_a_head_that_was_set_up_once_is_another_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    linked = bytes(8) + HEAD.to_bytes(8, "little")
    assert isinstance(found(monkeypatch, linked), Missing)


def setting_up(*, call: str | None = None, key: int | None = None) -> FieldUse:
    stores = (Stored(key, "itself", None),) if key is not None else ()
    inits = frozenset([(call, 0)]) if call is not None else frozenset()
    return FieldUse((), stores, counts=False, inits=inits)


OBJECT = made.owner(HEAD, "slab", slab=made.slab_object(), offset=0x40)
CODE_OF = [
    ModuleFunction(name, TICK, frozenset(calls), frozenset(), copies=False, own=frozenset(calls))
    for name, calls in (("ports_open", ["ports_set_up"]), ("ports_clone", []), ("ports_set_up", []))
]


@pytest.mark.parametrize(
    ("makers", "functions"),
    [
        # Who makes such and does not set it up; where all do, who sets up such, and may leave one.
        (("ports_open", "ports_clone"), ("ports_clone", "ports_set_up")),
        (("ports_open",), ("ports_set_up", "ports_open")),
        ((), ("ports_set_up",)),
    ],
)
def test_who_leaves_it_of_those_that_make_such(
    monkeypatch: pytest.MonkeyPatch, makers: tuple[str, ...], functions: tuple[str, ...]
) -> None:
    uses = {"ports_set_up": setting_up(key=0x40), "ports_tick": setting_up(key=0x10)}
    head = found(monkeypatch, owner=OBJECT, makers=makers, uses=uses, code=CODE_OF)
    assert (head.functions, head.by_init) == (functions, False)


def handed(name: str = "struct wait_queue_head.head.next") -> Any:
    """What a module has the kernel read from its wait queue."""
    read = made.flow_step("loaded", "__wake_up_common", 0)
    passed = made.flow_step("passed", "ports_change", HEAD - 8, "irports")
    at = HEAD + (8 if name.endswith("prev") else 0)
    return made.data_flow(
        made.way(read, name=name, held_in=made.owner(at, "slab", slab=made.slab_object())),
        made.way(passed),
    )


KERNEL = made.fault(0, operand=Operand("rax", Address(0), None, 0, None))


@pytest.mark.parametrize("member", ["next", "prev"])
def test_a_wait_queue_that_was_handed_to_the_kernel(
    monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    uses = {"ports_add": setting_up(call="init_waitqueue_head"), "a": setting_up(key=0x40)}
    flow = handed(f"struct wait_queue_head.head.{member}")
    head = found(monkeypatch, owner=OBJECT, fault=KERNEL, flow=flow, uses=uses, makers=())
    assert isinstance(head, EmptyHead)
    assert (head.address, head.functions) == (HEAD, ("ports_add",))


@pytest.mark.parametrize(
    ("flow", "function"),
    [
        (handed("struct wait_queue_head.lock"), "f"),
        (handed(), "__list_del_entry_valid"),  # an entry that is on no list
        (made.ABSENT, "f"),
    ],
)
def test_no_head_of_the_kernels(monkeypatch: pytest.MonkeyPatch, flow: Any, function: str) -> None:
    fault = made.fault(0, operand=KERNEL.operand, function=function)
    assert isinstance(found(monkeypatch, fault=fault, flow=flow), Missing)


PREV_NULL = made.list_report("list_add corruption. prev is NULL.")


@pytest.mark.parametrize("prev", [0, HEAD])
def test_nothing_is_added_to_it(monkeypatch: pytest.MonkeyPatch, prev: int) -> None:
    entry = made.way(made.flow_step("returned", "ports_wait", 0xFFFF888000002000, "irports"))
    held = made.owner(HEAD + 8, "slab", slab=made.slab_object())
    read = made.way(made.flow_step("loaded", "ports_wait", prev, "irports"), held_in=held)
    flow = made.data_flow(entry, subject="argument", checker="__list_add_valid", others=(read,))
    uses = {"ports_set_up": setting_up(key=0x40)}
    head = found(monkeypatch, owner=OBJECT, flow=flow, report=PREV_NULL, uses=uses, makers=())
    assert isinstance(head, EmptyHead)
    assert (head.address, head.functions) == (HEAD, ("ports_set_up",))
    other = made.list_report("list_del corruption, ffff888003400000->next is NULL")
    assert isinstance(found(monkeypatch, owner=OBJECT, flow=flow, report=other), Missing)


@pytest.mark.parametrize(
    ("checker", "call"),
    [
        ("wait_for_completion_timeout", "init_swait_queue_head"),
        ("prepare_to_wait_event", "init_waitqueue_head"),
        ("mutex_lock", "mutex_init"),
        ("down_write", "init_rwsem"),
    ],
)
def test_what_has_a_head_by_whom_it_was_handed_to(
    monkeypatch: pytest.MonkeyPatch, checker: str, call: str
) -> None:
    lost = made.way(made.flow_step("computed", "ports_wait", None, "irports"))
    flow = made.data_flow(lost, subject="argument", checker=checker)
    uses = {"ports_add": setting_up(call=call), "ports_list": setting_up(key=0x40)}
    head = found(monkeypatch, flow=flow, report=PREV_NULL, uses=uses, code=CODE_OF)
    assert isinstance(head, EmptyHead)
    assert (head.address, head.functions) == (None, ("ports_add",))
    flow = made.data_flow(lost, subject="argument", checker="queue_work_on")
    assert isinstance(found(monkeypatch, flow=flow, report=PREV_NULL, uses=uses), Missing)
