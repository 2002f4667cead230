from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from types import ModuleType

import handmade_facts as made
import pytest
from handmade_memory import BASE, Kernel

from oopsight.evidence import registries
from oopsight.evidence.pointers import Memory
from oopsight.evidence.registries import Dangling, ExhaustedError, Look, registering, search_all

GONE = made.AREA[0] + 0x5000
LOADED = made.AREA[0] + 0x9000
HEAD, ONE, TWO, THREE = BASE, BASE + 0x100, BASE + 0x200, BASE + 0x300
ENTRY = "struct entry"


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def look_at(kernel: Kernel, most: int = 1000, near: int | None = None) -> Look:
    loaded = made.module("telemdrv", LOADED, LOADED + 0x1000)
    look = Look(kernel.prog, made.modules(loaded), most, near=near)
    look.start("made", "thing")
    return look


def offset(look: Look, member: str) -> int:
    return look.offset(ENTRY, member)


def test_only_a_pointer_to_no_module_is_kept(kernel: Kernel) -> None:
    look = look_at(kernel)
    for value, gone in ((0, False), (LOADED, False), (GONE, True), (BASE, False)):
        kernel.put(ONE + offset(look, "value"), value)
        look.found.clear()
        look._seen.clear()
        assert look.at(ENTRY, ONE, "value", "it") == value
        assert [d.target for d in look.found] == ([value] if gone else [])


def test_what_is_kept_can_be_read_again(kernel: Kernel) -> None:
    look = look_at(kernel)
    kernel.put(ONE + 8, GONE + 1)
    look.at(ENTRY, ONE, "name", lambda: "late", mask=~1 & 2**64 - 1)
    held = (GONE + 1).to_bytes(8, "little").hex()
    (found,) = look.found
    assert found.memory == Memory(ENTRY, made.Address(ONE), "name", made.Address(ONE + 8), held)
    assert (found.label, found.target, found.slot) == ("late", GONE, "entry.name")


def test_a_chain_ends_at_null_and_at_the_gone_module(kernel: Kernel) -> None:
    look = look_at(kernel)
    kernel.put(HEAD, ONE)
    kernel.put(ONE + offset(look, "next"), TWO)
    kernel.put(TWO + offset(look, "next"), 0)
    head = ("struct hlist_head", HEAD, "first")
    assert list(look.chain(head, (ENTRY, "next"), "it")) == [ONE, TWO]
    kernel.put(TWO + offset(look, "next"), GONE)
    assert list(look.chain(head, (ENTRY, "next"), "it")) == [ONE, TWO]
    assert [(d.target, d.slot) for d in look.found] == [(GONE, "entry.next")]


def test_a_list_ends_at_its_head_and_in_a_circle(kernel: Kernel) -> None:
    look = look_at(kernel)
    at = offset(look, "list")
    kernel.put(HEAD, ONE + at)
    kernel.put(ONE + at, TWO + at)
    kernel.put(TWO + at, HEAD)
    head = ("struct list_head", HEAD, "")
    assert list(look.entries(head, (ENTRY, "list"), "it")) == [ONE, TWO]
    kernel.put(TWO + at, ONE + at)
    assert list(look.entries(head, (ENTRY, "list"), "it")) == [ONE, TWO]


def test_a_tree_is_walked_and_its_gone_branch_kept(kernel: Kernel) -> None:
    look = look_at(kernel)
    at = offset(look, "rb")
    kernel.put(HEAD, ONE + at)
    kernel.put(ONE + at + 8, TWO + at)
    kernel.put(ONE + at + 16, THREE + at)
    kernel.put(THREE + at + 16, ONE + at)
    kernel.put(TWO + at + 8, GONE)
    head = ("struct hlist_head", HEAD, "first")
    assert sorted(look.tree(head, (ENTRY, "rb"), "it")) == [ONE, TWO, THREE]
    assert [(d.target, d.slot) for d in look.found] == [(GONE, "entry.rb.rb_right")]


def test_an_xarray_yields_its_entries(kernel: Kernel) -> None:
    look = look_at(kernel)
    kernel.put(HEAD + 8, ONE)
    head = ("struct xarray", HEAD, "")
    node = BASE + 0x1000
    kernel.put(HEAD + 8, node + 2)
    kernel.put(node, 0)
    kernel.put(node + 8, TWO)
    kernel.put(node + 8 + 8 * 63, GONE)
    kernel.put(node + 16, 0x406)  # a sibling's sign
    kernel.struct("holder", idr=kernel.type("xarray"))
    head = ("struct holder", HEAD, "idr")
    assert TWO in list(look.xarray(head, "it"))
    assert [(d.target, d.slot) for d in look.found] == [(GONE, "xa_node.slots[63]")]


def test_a_node_that_holds_itself_ends(kernel: Kernel) -> None:
    look = look_at(kernel)
    node = BASE + 0x1000
    kernel.struct("holder", idr=kernel.type("xarray"))
    kernel.put(HEAD + 8, node + 2)
    kernel.put(node, 6)
    kernel.put(node + 8, node + 2)
    assert list(look.xarray(("struct holder", HEAD, "idr"), "it")) == []


def test_too_many_entries_are_said_to_be_too_many(kernel: Kernel) -> None:
    look = look_at(kernel, most=1)
    look.at(ENTRY, ONE, "value", "it")
    with pytest.raises(ExhaustedError):
        look.at(ENTRY, TWO, "value", "it")


def test_a_failing_part_is_noted_and_the_rest_goes_on(kernel: Kernel) -> None:
    look = look_at(kernel)
    with look.part("far list"):
        look.at(ENTRY, 0x10, "value", "it")
    with look.part("other type"):
        look.at("struct absent", ONE, "value", "it")
    assert look.unchecked[0] == "far list: unreadable at 0x10"
    assert look.unchecked[1].startswith("other type: this kernel keeps it otherwise")


@pytest.mark.parametrize("explained", [True, False])
def test_the_long_search_is_for_what_the_short_ones_do_not_explain(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, explained: bool
) -> None:
    called = []

    def search(look: Look) -> None:
        called.append("search")
        if explained:
            kernel.put(ONE, GONE)
            look.at(ENTRY, ONE, "value", "it")

    def fail(look: Look) -> None:
        raise RuntimeError("broken")

    first, second = ModuleType("registries.first"), ModuleType("registries.second")
    first.THING = second.THING = "thing"  # type: ignore[attr-defined]
    first.search, first.search_more = search, lambda _: called.append("more")  # type: ignore[attr-defined]
    second.search = fail  # type: ignore[attr-defined]

    def modules() -> Iterator[ModuleType]:
        yield from (second, first)

    monkeypatch.setattr(registries, "registry_modules", modules)
    look = look_at(kernel, near=GONE + 8)
    search_all(look)
    assert called == (["search"] if explained else ["search", "more"])
    assert look.unchecked == ["second: RuntimeError: broken"]


def test_every_registry_can_be_searched() -> None:
    for module in registries.registry_modules():
        assert hasattr(module, "search") or hasattr(module, "search_more"), module.__name__
        assert module.THING


def test_the_holder_of_a_variable_is_the_variable() -> None:
    from oopsight.evidence.pointers import Variable

    at = made.Address(BASE)
    found = Dangling(
        "system_calls", "changed", "system call 59", at, Variable("sys_call_table", 472, at, "")
    )
    assert (found.holder, found.slot) == ("changed 'system call 59'", "sys_call_table+0x1d8")


@pytest.mark.parametrize(
    ("registry", "function"),
    [
        ("net_protocols", "register_pernet_subsys"),
        ("net_protocols", "genl_register_family"),
        ("sysfs_files", "led_classdev_register_ext"),
        ("sysfs_files", "__class_create"),
        ("char_devices", "watchdog_register_device"),
        ("interrupts", "pci_request_irq"),
        ("interrupts", "devm_request_threaded_irq"),
        ("work_items", "queue_work_on"),
    ],
)
def test_what_hangs_things_in_a_registry_is_known_by_its_name(registry: str, function: str) -> None:
    assert any(fnmatch.fnmatchcase(function, pattern) for pattern in registering(registry))
    assert not any(fnmatch.fnmatchcase("kfree", pattern) for pattern in registering(registry))
