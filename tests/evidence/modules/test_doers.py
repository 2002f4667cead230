"""Suspects by the code of a module, assembled by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.exhaustion.allocators import Allocator
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.modules import doers, field_doers, left_in, omitting, stoppers
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.doers import Doers, collect
from oopsight.evidence.modules.field_code import FieldUse, Freed, Stored
from oopsight.evidence.modules.field_keys import UNKNOWN
from oopsight.evidence.modules.field_marks import Mark, Trail, Wiped
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.stored_numbers import Put
from oopsight.evidence.pointers import BytesPointer

MODULE = 0xFFFFFFFFC0300000
RESET, CLOSE, OPEN = MODULE, MODULE + 0x40, MODULE + 0x80
KFREE, KMALLOC, GET = MODULE - 0x1000, MODULE - 0x2000, MODULE - 0x3000
NAMES = {KFREE: "kfree", KMALLOC: "kmalloc_trace", GET: "clk_get"}
MODULES = made.modules(made.module("recorder", MODULE, MODULE + 0x1000, "O"))
STEP = replace(
    made.flow_step("loaded", "rec_read", 0x1000, "recorder"),
    instruction=replace(
        made.flow_step("loaded", "rec_read").instruction, text="mov rax, qword ptr [rbx + 0x20]"
    ),
)
FLOW = made.data_flow(made.way(STEP, value=0x1000, module="recorder", ended="loaded"))


def call(target: int, at: int) -> str:
    return "e8" + ((target - at - 5) & 0xFFFFFFFF).to_bytes(4, "little").hex()


class Text:
    """Functions that free [rdi + 0x20]: alone, with all around it; and one that fills it."""

    parts = {  # noqa: RUF012
        # push rbx; mov rbx,rdi; mov rdi,[rbx+0x20]; call kfree; pop rbx; ret
        RESET: ("rec_reset", "53 4889fb 488b7b20" + call(KFREE, RESET + 8) + "5b c3"),
        # the same, then mov rdi,rbx; call kfree; ret
        CLOSE: (
            "rec_close",
            "53 4889fb 488b7b20" + call(KFREE, CLOSE + 8) + "4889df" + call(KFREE, CLOSE + 16)
            + "5b c3",
        ),
        # push rbx; mov rbx,rdi; mov edx,48; call kmalloc_trace; mov [rbx+0x20],rax;
        # call clk_get; mov [rbx+0x20],rax; ret
        OPEN: (
            "rec_open",
            "53 4889fb ba30000000" + call(KMALLOC, OPEN + 9) + "48894320" + call(GET, OPEN + 18)
            + "48894320 5b c3",
        ),
    }  # fmt: skip

    def _code(self, start: int) -> bytes:
        return bytes.fromhex(self.parts[start][1].replace(" ", ""))

    def code_symbol(self, address: int) -> tuple[str, int, int] | None:
        return (self.parts[address][0], address, len(self._code(address)))

    def function(self, address: int) -> tuple[str, int, int] | None:
        return (NAMES[address], address, 64) if address in NAMES else None

    def read(self, address: int, size: int) -> bytes | None:
        return self._code(address)[:size]


@pytest.fixture(autouse=True)
def code(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = [
        ModuleFunction("rec_reset", RESET, frozenset(["kfree"]), frozenset(), copies=False),
        ModuleFunction("rec_close", CLOSE, frozenset(["kfree"]), frozenset(), copies=False),
        ModuleFunction("rec_open", OPEN, frozenset(["kmalloc_trace"]), frozenset(), copies=False),
    ]
    monkeypatch.setattr(doers, "SessionReader", lambda _: Text())
    monkeypatch.setattr(doers, "inner_functions", lambda *_: inner)


def test_what_is_done_with_the_field_that_the_bad_value_was_read_from() -> None:
    users = made.users(made.slab_object("free"))
    found = collect(Machine().session, FLOW, MODULES, made.backtrace(), users)
    assert isinstance(found, Doers)
    field = found.field(0)
    assert field is not None
    assert (field.leaves, field.frees) == (("rec_reset",), ("rec_close",))
    assert [(one.function, one.called) for one in field.keeps] == [("rec_open", "clk_get")]
    assert found.frees == ("rec_reset", "rec_close")
    assert found.holding(0x1000, 0x1040) == field
    # What clk_get() returned is there as well: its size is not known.
    assert found.sizes == ()


def test_who_starts_a_thread_without_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    users = made.users(made.slab_object())
    starts = frozenset({"kthread_create_on_node"})
    inner = [ModuleFunction("rec_open", OPEN, starts, frozenset(), copies=False)]
    monkeypatch.setattr(doers, "inner_functions", lambda *_: inner)
    found = collect(Machine().session, FLOW, MODULES, made.backtrace(), users)
    assert isinstance(found, Doers)
    assert found.threads.starters == ("rec_open",)


def test_a_module_of_the_kernels_own_is_not_looked_at() -> None:
    own = made.modules(made.module("recorder", MODULE, MODULE + 0x1000))
    users = made.users(made.slab_object("free"))
    assert isinstance(collect(Machine().session, FLOW, own, made.backtrace(), users), Missing)


def test_nobody_asks_where_nothing_tells_of_an_earlier_mistake() -> None:
    session = Machine().session
    lost = made.data_flow(made.way(STEP, value=0x1000, module="recorder", ended="lost"))
    assert isinstance(collect(session, lost, MODULES, made.backtrace(), made.ABSENT), Missing)
    checked = replace(FLOW, subject="argument")
    assert isinstance(collect(session, checked, MODULES, made.backtrace(), made.ABSENT), Doers)


ONE = made.slab_object("free")
MADE = made.slab_object("allocated")


def left(data: bytes, *calls: tuple[Mark, ...], monkeypatch: pytest.MonkeyPatch):  # noqa: ANN201
    machine = Machine()
    machine.memory[int(ONE.address)] = data.ljust(ONE.size, b"\0")
    monkeypatch.setattr(left_in, "free_link_at", lambda *_: 32)
    uses = {"rec_close": FieldUse((), (), counts=False, marks=calls)}
    return left_in.left_in(machine.session, made.users(ONE), uses)


def test_what_a_freed_object_says_to_who_marks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(8) + (7).to_bytes(4, "little") + bytes(20) + b"\xff" * 8
    mark, link = Mark(8, 4, 7), Mark(32, 8, 0)
    (found,) = left(data, (mark, link), monkeypatch=monkeypatch)
    assert [one.bytes for one in found.holds] == ["07000000"]
    assert found.lacks is None  # the allocator's own link is no sign
    (found,) = left(data, (Mark(8, 4, 9),), monkeypatch=monkeypatch)
    assert found.lacks is not None
    assert found.lacks.address == ONE.address + 8
    # Another call of the same function can have freed it.
    (found,) = left(data, (Mark(8, 4, 9),), (), monkeypatch=monkeypatch)
    assert found.lacks is None
    # An object that ends before the mark is another's.
    (found,) = left(data, (Mark(ONE.size, 4, 1),), monkeypatch=monkeypatch)
    assert found.lacks is not None


def test_an_empty_object_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert left(b"", (Mark(8, 4, 7),), monkeypatch=monkeypatch) == ()
    assert left(b"\1", (), monkeypatch=monkeypatch) == ()


def stored(key: int, what: str, **changes: Any) -> Stored:
    return Stored(key, what, None, **changes)


def of_field(  # noqa: ANN201
    uses: dict[str, FieldUse], *code: ModuleFunction, key: str = "0x20", **changes: Any
):
    step = replace(
        STEP, instruction=replace(STEP.instruction, text=f"mov rax, qword ptr [rbx + {key}]")
    )
    way = made.way(step, value=0, module="recorder", ended="loaded", **changes)
    return field_doers.field_doers(MODULES.loaded[0], 0, (way,), uses, list(code))


def use(*stores: Stored, **changes: Any) -> FieldUse:
    sets = frozenset(one.key for one in stores)
    return FieldUse((), stores, counts=False, **{"sets": sets, **changes})


def function(name: str, *calls: str) -> ModuleFunction:
    return ModuleFunction(name, MODULE, frozenset(calls), frozenset(), copies=False)


def test_who_would_have_freed_what_has_the_field_did_not_where_that_is_in_use() -> None:
    calls = {
        "rec_kill": Freed(0x20, cleared=False, whole=True, always=True),
        "rec_put": Freed(0x20, cleared=False, whole=True),
        "rec_close": Freed(0x20, cleared=True, whole=False),
    }
    uses = {name: FieldUse((call,), (), counts=False) for name, call in calls.items()}
    assert of_field(uses).frees == ("rec_kill", "rec_put", "rec_close")
    held = made.owner(int(MADE.address) + 0x20, "slab", slab=MADE, offset=0x20)
    assert of_field(uses, held_in=held).frees == ("rec_put", "rec_close")
    gone = made.owner(int(ONE.address) + 0x20, "slab", slab=ONE, offset=0x20)
    assert of_field(uses, held_in=gone).frees == ("rec_kill", "rec_put", "rec_close")


def test_who_clears_a_field_and_who_puts_another_pointer_there() -> None:
    uses = {
        "rec_drop": use(stored(0x20, "zero")),
        "rec_fill": use(stored(0x20, "fresh", tested=True)),
        "rec_resize": use(),
        "rec_exit": use(),
        "rec_new": use(stored(0x20, "zero", into="kzalloc")),
        "rec_get": use(stored(0x20, "returned")),
        "rec_probe": use(stored(0x20, "value", late="misc_register")),
    }
    code = [function(name) for name in uses if name not in ("rec_resize", "rec_exit")]
    code += [function("rec_resize", "rec_drop", "rec_fill"), function("rec_exit", "rec_drop")]
    found = of_field(uses, *code)
    assert (found.clears, found.replaces) == (("rec_drop",), ("rec_resize",))
    # In what it frees then, as the links of an entry: that has not the field.
    gone = Value("loaded", 0x40)
    links = {"pointers": ((0x20, Value("number", 0)),), "written": ((0x20, gone),)}
    frees = use(stored(0x20, "zero"), freed=((8, gone),), **links)
    assert of_field({**uses, "rec_drop": frees}, *code).clears == ()
    elsewhere = replace(frees, written=((0x20, Value("argument", 1)),))
    assert of_field({**uses, "rec_drop": elsewhere}, *code).clears == ("rec_drop",)
    assert found.untested == ("rec_get",)
    assert [(one.function, one.called) for one in found.late] == [("rec_probe", "misc_register")]


def test_who_stores_numbers_where_others_store_a_pointer() -> None:
    at = int(MADE.address) + 0x20
    held = made.owner(at, "slab", slab=MADE, offset=0x20)
    kind, base = 0x18, Value("argument", 1)

    def puts(value: Value, number: int) -> FieldUse:
        numbers = (Put(0x10, kind, 4, base, number),)
        stores = {"pointers": ((0x20, value),), "written": ((0x20, base),), "stored_at": (0x14,)}
        return use(stored(0x20, "value"), trail=Trail(numbers), **stores)

    computed = Value("computed", 7)
    uses = {
        "rec_key": puts(Value("inner", 0x40, base), 0),
        "rec_fader": puts(computed, 1),
        "rec_dial": puts(computed, 0),
    }

    def found(uses: dict[str, FieldUse]) -> tuple[str, ...]:
        instruction = replace(STEP.instruction, text="mov rax, qword ptr [rbx + 0x20]")
        step = replace(STEP, instruction=instruction)
        way = made.way(step, module="recorder", ended="loaded", held_in=held)
        module = MODULES.loaded[0]
        one = field_doers.field_doers(
            module, 0, (way,), uses, [], UNKNOWN, lambda place, size: bytes(size) * (place < at)
        )
        assert one is not None
        return one.numbers

    assert found(uses) == ("rec_dial",)  # memory has the kind 0
    del uses["rec_key"]
    assert found(uses) == ()  # it is a number for all


def test_who_fills_the_field_with_all_around_it() -> None:
    variable = 0xFFFFFFFFC0301000
    uses = {
        "rec_reset": use(wipes=(Wiped(0x30, None, 0x10),)),
        "rec_short": use(wipes=(Wiped(0x10, None, 0x10),)),
        "rec_new": use(wipes=(Wiped(0x30, "kzalloc", 0x10),)),
        "rec_default": use(copied_over=(Wiped(0x30, None, 0x10, variable),)),
        "rec_other": use(copied_over=(Wiped(0x30, None, 0x10, variable + 0x80),)),
        "rec_import": use(copied_over=(Wiped(0x30, None, 0x10),)),
        "rec_move": use(
            stored(0x20, "value", loaded=True),
            pointers=((0x20, Value("loaded", variable + 0x10)),),
        ),
    }

    def read(at: int, size: int) -> bytes:
        return bytes(size) if at < variable + 0x80 else b"\1" * size

    instruction = replace(STEP.instruction, text="mov rax, qword ptr [rbx + 0x20]")
    way = made.way(replace(STEP, instruction=instruction), module="recorder", ended="loaded")
    found = field_doers.field_doers(MODULES.loaded[0], 0, (way,), uses, [], UNKNOWN, read)
    assert found is not None
    assert found.clears == ("rec_reset",)
    assert found.copies_null == ("rec_default", "rec_move")


def test_the_object_with_the_field_is_freed_by_the_same_key() -> None:
    # The field of an object, and what leads to that object, are as far in theirs.
    instruction = replace(STEP.instruction, text="mov rax, qword ptr [rbx + 0x20]")
    step = replace(STEP, instruction=instruction)
    ways = tuple(
        made.way(step, value=value, module="recorder", ended="loaded") for value in (0x1000, 0x2000)
    )
    uses = {
        "rec_release": FieldUse((Freed(0x20, cleared=False, whole=False),), (), counts=False),
        "rec_drop": FieldUse(
            (Freed(0x20, cleared=False, whole=False, through=0x20), Freed(8, True, False)),
            (),
            counts=False,
        ),
    }
    inner = field_doers.field_doers(MODULES.loaded[0], 0, ways, uses, [])
    outer = field_doers.field_doers(MODULES.loaded[0], 1, ways, uses, [])
    assert inner is not None
    assert outer is not None
    assert (inner.leaves, inner.frees_only) == (("rec_drop",), ())
    assert outer.frees_only == ("rec_release",)


def test_who_stores_a_pointer_with_a_reference_shares_nothing() -> None:
    hub = Value("loaded", 0x10, Value("argument", 1))
    stores = {"pointers": ((0x20, hub),)}
    takes = Handed(8, "kobject_get", own=False, arguments=(hub,))
    uses = {
        "rec_join": use(stored(0x20, "value"), **stores),
        "rec_open": use(stored(0x20, "value"), handed=(takes,), **stores),
    }
    assert of_field(uses).shares == ("rec_join",)


def test_who_takes_null_for_a_value_of_the_field() -> None:
    known = frozenset([0x20])
    uses = {
        "rec_show": use(checks=known),
        "rec_open": use(stored(0x20, "fresh"), checks=known),
        "rec_close": FieldUse((Freed(0x20, cleared=True, whole=False),), (), False, checks=known),
        "rec_release": use(checks=known),
        "rec_write": use(),
    }
    code = function("rec_show", "sysfs_emit"), function("rec_release", "crypto_destroy_tfm")
    assert of_field(uses, *code).checks == ("rec_show",)


def test_who_makes_an_object_and_does_not_set_what_others_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [Allocator(name, "") for name in ("rec_create", "rec_alloc")]
    monkeypatch.setattr(omitting, "allocating", lambda *_: (tuple(names), True))
    held = made.owner(int(MADE.address) + 4, "slab", slab=MADE, offset=4)
    flow = made.data_flow(made.way(STEP, held_in=held, value=0, ended="loaded"))
    uses = {
        "rec_create": use(sets=frozenset([4])),
        "rec_alloc": use(),
        "rec_clone": use(fills=frozenset(["rec_alloc"])),
    }
    code = [function(name) for name in uses]
    session = Machine().session
    found = doers._omitting(session, MODULES, MODULES.loaded[0], flow, uses, code)
    assert found == ("rec_clone",)
    # It may be the kernel that sets it up.
    uses["rec_create"] = use(sets=frozenset(range(0, 24, 4)))
    assert doers._omitting(session, MODULES, MODULES.loaded[0], flow, uses, code) == ("rec_clone",)
    # What the kernel allocates for drivers it made itself, with all before the driver's own.
    monkeypatch.setattr(omitting, "allocating", lambda *_: ((), True))
    nets = {
        "net_trunk": use(sets=frozenset([4]), fills=frozenset(["alloc_netdev_mqs"])),
        "net_stub": use(fills=frozenset(["alloc_netdev_mqs"])),
        "net_other": use(fills=frozenset(["kobject_create"])),
    }
    named = [function(name) for name in nets]
    found = doers._omitting(session, MODULES, MODULES.loaded[0], flow, nets, named)
    assert found == ("net_stub",)
    monkeypatch.setattr(omitting, "allocating", lambda *_: (tuple(names), True))
    # Where nobody sets it, all leave it to somebody else.
    uses["rec_create"] = use()
    assert doers._omitting(session, MODULES, MODULES.loaded[0], flow, uses, code) == ()


def test_who_alone_makes_an_object_in_which_nobody_sets_a_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(omitting, "allocating", lambda *_: ((Allocator("rec_create", ""),), True))
    uses = {"rec_create": use(sets=frozenset([16])), "rec_show": use()}
    code = [function(name) for name in uses]
    session, module = Machine().session, MODULES.loaded[0]

    def found(**more: bool) -> tuple[str, ...]:
        return omitting.omitting(session, MODULES, module, MADE, 4, uses, code, **more)

    assert found() == ("rec_create",)
    assert found(set_elsewhere=True) == ()
    uses["rec_show"] = use(sets=frozenset([4]))
    assert found() == ()


def test_who_registered_the_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doers, "tables_with", lambda _, __, at: {MODULE + 0x800} if at else set())
    code = [
        ModuleFunction("rec_read", MODULE, frozenset(), frozenset(), copies=False),
        replace(function("rec_probe", "misc_register"), refers=frozenset([MODULE + 0x800])),
        replace(function("rec_stop", "misc_deregister"), refers=frozenset([MODULE + 0x800])),
        function("rec_more", "misc_register"),
    ]
    frames = (
        made.frame(0, "strlen", made.Role.FAULT),
        made.frame(1, "rec_name", made.Role.CALLER, "recorder"),
        made.frame(2, "rec_read", made.Role.CALLER, "recorder"),
        made.frame(3, "vfs_read", made.Role.CALLER),
    )
    trace = replace(made.backtrace(), frames=frames)
    null = made.data_flow(made.way(made.flow_step("loaded", "rec_name", 0, "recorder")))
    session, module = Machine().session, MODULES.loaded[0]
    assert doers._registering(session, module, null, trace, code) == ("rec_probe",)
    # Of two, whoever refers to what the object points to comes first.
    other = replace(code[1], name="rec_second", refers=code[1].refers | {MODULE + 0x900})
    at = Address(MODULE + 0x900)
    ref = Reference(16, at, "rec_desc", "recorder", BytesPointer(MADE.address, "00" * 8))
    slab = replace(MADE, refers=(ref,))
    step = made.flow_step("loaded", "rec_name", 0, "recorder")
    held = made.owner(int(MADE.address), "slab", slab=slab, offset=0)
    of_one = made.data_flow(made.way(step, held_in=held))
    found = doers._registering(session, module, of_one, trace, [*code, other])
    assert found == ("rec_second", "rec_probe")
    given = [replace(one, refers=frozenset([MODULE])) for one in code[1:2]]
    assert doers._registering(session, module, null, trace, [code[0], *given]) == ("rec_probe",)
    assert doers._registering(session, module, FLOW, trace, code) == ()
    assert doers._registering(session, module, null, made.ABSENT, code) == ()
    # A list of work items is the kernel's; the module's own per-CPU variables it fills itself.
    for reader, of_module in ((None, False), ("recorder", True)):
        step = made.flow_step("loaded", "worker_thread", 0, reader)
        outer = made.way(step, held_in=made.owner(0xFFFF888007E013A8, "per-cpu"))
        ways = replace(of_one, ways=(*of_one.ways[:1], outer))
        found = doers._registering(session, module, ways, trace, code)
        assert found == (() if of_module else ("rec_probe",))


@pytest.mark.parametrize(
    ("runs", "stops"),
    [
        ("call_timer_fn", ("rec_close", "rec_remove")),
        ("process_one_work", ("rec_flush",)),
        ("vfs_read", ()),
    ],
)
def test_who_stops_what_had_called_the_module(runs: str, stops: tuple[str, ...]) -> None:
    code = [
        function("rec_close", "del_timer_sync", "kfree"),
        function("rec_remove", "rec_close"),
        function("rec_reset", "del_timer", "kfree"),
        function("rec_flush", "cancel_delayed_work_sync"),
    ]
    trace = made.backtrace(rec_tick=made.Role.FAULT, **{runs: made.Role.CALLER})
    assert stoppers.stopping(trace, code) == stops
    assert stoppers.stopping(made.ABSENT, code) == ()


def test_who_gives_anything_up_is_known_by_what_the_kernel_is_called_for() -> None:
    def made(name: str, *calls: str, own: tuple[str, ...] = ()) -> ModuleFunction:
        called = frozenset((*calls, *own))
        return ModuleFunction(name, 0, called, frozenset(), copies=False, own=frozenset(own))

    code = [
        made("pool_drop", "kobject_put"),
        made("pool_empty", own=("pool_drop",)),
        # Named so, it puts something somewhere and gives nothing up.
        made("pool_put", "memcpy"),
        made("pool_fill", own=("pool_put",)),
        made("pool_copy", "put_user"),
    ]
    assert field_doers._giving_up(code) == {"pool_drop"}


# test edi,edi; je 1f; call del_timer_sync; 1: ret
STOPS_AT_TIMES = "85ff 7405 e8f73f0000 c3"
# test edi,edi; je 1f; call del_timer_sync; 1: call kfree; ret
FREES_UNSTOPPED = "85ff 7405 e8f72f0000 e8f23f0000 c3"
# test edi,edi; jne 1f; ret; 1: call del_timer_sync; call kfree; ret
STOPS_AND_FREES = "85ff 7501 c3 e8f61f0000 e8f12f0000 c3"
# call del_timer_sync; ret
STOPS = "e8fb0f0000 c3"


def test_who_stops_it_on_some_ways_only() -> None:
    """A look at what there is to free, and nothing done where there is none, is no such way."""
    machine = Code(STOPS_AT_TIMES, FREES_UNSTOPPED, STOPS_AND_FREES, STOPS, "c3", "c3")
    machine.names = ["rec_idle", "rec_drop", "rec_close", "rec_halt", "del_timer_sync", "kfree"]
    code = [
        replace(function(name, "del_timer_sync"), start=machine.start(number))
        for number, name in enumerate(machine.names[:4])
    ]
    trace = made.backtrace(rec_tick=made.Role.FAULT, call_timer_fn=made.Role.CALLER)
    assert stoppers.stopping_at_times(machine, trace, code) == ("rec_idle", "rec_drop")
    assert stoppers.stopping_at_times(machine, made.ABSENT, code) == ()


def test_what_is_new_and_may_be_an_error_code_is_kept_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(NAMES, GET, "memdup_user")
    found = collect(Machine().session, FLOW, MODULES, made.backtrace(), made.ABSENT)
    assert isinstance(found, Doers)
    field = found.field(0)
    assert field is not None
    assert [one.called for one in field.keeps] == ["memdup_user"]
