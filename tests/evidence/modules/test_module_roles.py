"""What a module's functions could have done."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from handmade_facts import module, modules, slab_object
from handmade_session import Machine

from oopsight.evidence import Address
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.code_values import Handed, Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import publishes, tables_with, who_fills
from oopsight.evidence.pointers import BytesPointer

BASE = 0xFFFFFFFFC0400000
TABLE = BASE + 0x800
GET, PROBE, REMOVE = (BASE + at for at in (0x10, 0x40, 0x80))
DRIVER = module("oxco", BASE, BASE + 0x1000, "O")
MEMORY = BytesPointer(Address(8), "")


def refer(value: int) -> Any:
    return slab_object(refers=(Reference(0, Address(value), "oxco_get", "oxco", MEMORY),))


def filled(monkeypatch: pytest.MonkeyPatch, one: Any, referred: int) -> tuple[str, ...]:
    code = (
        ModuleFunction("oxco_get", GET, frozenset(), frozenset(), False),
        ModuleFunction("oxco_probe", PROBE, frozenset(), frozenset({referred}), False),
        ModuleFunction("oxco_remove", REMOVE, frozenset(), frozenset({BASE + 0x900}), False),
    )

    def variables(_: Any, __: Any, begin: int, end: int) -> Any:
        if begin == GET:
            yield DRIVER, Address(TABLE + 0x10), "oxco_info", MEMORY

    monkeypatch.setattr(module_roles, "functions", lambda *_: code)
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    monkeypatch.setattr(module_roles, "holding_variables", variables)
    prog = SimpleNamespace(symbol=lambda _: SimpleNamespace(address=TABLE), cache={})
    session: Any = SimpleNamespace(prog=prog)
    return who_fills(session, modules(DRIVER), one)


@pytest.mark.parametrize("referred", [GET, TABLE])
def test_who_puts_functions_into_an_object_or_copies_their_table(
    monkeypatch: pytest.MonkeyPatch, referred: int
) -> None:
    assert filled(monkeypatch, refer(GET), referred) == ("oxco_probe",)


def test_pointers_to_data_say_nothing_of_who_put_them_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert filled(monkeypatch, refer(TABLE), TABLE) == ()
    assert filled(monkeypatch, slab_object(), TABLE) == ()


def test_tables_that_hold_a_function() -> None:
    machine = Machine()
    base = 0xFFFFFFFFC0300000
    machine.words(base, 1, base + 0x40, 0, base + 0x40)
    machine.symbols = {base + 8: ("first_ops", 8), base + 0x10: ("second_ops", 16)}
    one = module("rec", base, base + 32, "O")
    assert tables_with(machine.session, one, base + 0x40) == {base + 8, base + 0x10}
    assert tables_with(machine.session, one, base + 0x48) == set()


@pytest.mark.parametrize(
    ("called", "does"),
    [
        ("misc_register", True),
        ("__platform_driver_register", True),
        ("debugfs_create_file", True),
        ("queue_work_on", True),
        ("unregister_netdev", False),
        ("misc_deregister", False),
        ("kfree", False),
    ],
)
def test_what_makes_things_known(called: str, does: bool) -> None:
    assert publishes(ModuleFunction("f", 0, frozenset([called]), frozenset(), copies=False)) is does


def code(**calls: str) -> list[ModuleFunction]:
    return [
        ModuleFunction(name, BASE + at, frozenset([called]), frozenset(), copies=False)
        for at, (name, called) in enumerate(calls.items())
    ]


def test_packets_are_freed_by_functions_of_their_own() -> None:
    inner = code(nic_close="kfree", nic_drop="kfree_skb_reason", nic_off="free_netdev")
    assert module_roles.freers(inner, "kmalloc-64") == ("nic_close",)
    assert module_roles.freers(inner, "skbuff_head_cache") == ("nic_drop",)
    assert module_roles.freers(inner[1:], "kmalloc-cg-4k") == ("nic_off",)


def test_what_comes_from_a_slab_cache_is_not_given_back_as_pages() -> None:
    inner = code(ring_shrink="__free_pages", ring_close="kfree", ring_end="kmem_cache_free")
    assert module_roles.freers(inner, "kmalloc-192") == ("ring_close", "ring_end")
    assert module_roles.freers(inner, "ring_entry") == ("ring_end",)
    assert module_roles.freers(inner) == ("ring_shrink", "ring_close", "ring_end")


def test_a_size_that_the_compiler_knows_is_not_computed() -> None:
    inner = code(a="__kmalloc", b="kmalloc_trace", c="__kvmalloc_node_noprof", d="kfree")
    inner += code(e="__kmalloc_noprof", f="__kmalloc_cache_noprof")
    chosen = [one.name for one in inner if any(map(module_roles.allocates_by_size, one.outside))]
    assert chosen == ["a", "c", "e"]


def test_what_is_freed_of_a_cache() -> None:
    one, packet = Value("argument", 1), Value("argument", 2)
    handed = (Handed(1, "kfree", own=False, arguments=(one,)),)
    handed += (Handed(5, "napi_consume_skb", own=False, arguments=(packet,)),)
    uses = {"poll": FieldUse((), (), counts=False, handed=handed, freed=((1, one), (5, packet)))}
    assert module_roles.of_cache(uses, "kmalloc-512")["poll"].freed == ((1, one),)
    assert module_roles.of_cache(uses, "skbuff_head_cache")["poll"].freed == ((5, packet),)


def test_who_gives_areas_back() -> None:
    inner = code(add="misc_register", drop="vunmap", load="release_firmware", free="kfree")
    inner[0] = replace(inner[0], calls=frozenset({"misc_register", "vfree"}))
    assert [one.name for one in module_roles.area_freers(inner)] == ["drop", "load", "add"]
