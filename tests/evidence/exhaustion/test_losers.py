"""Who can have lost memory, by the code of a driver."""

from __future__ import annotations

from typing import Any

import pytest
from handmade_driver import DATA, DRIVER, MODULES, Driver
from handmade_exhaustion import HINT, use
from handmade_facts import ABSENT

from oopsight.cheap import replace
from oopsight.evidence import Address
from oopsight.evidence.exhaustion import losers, loss_signs
from oopsight.evidence.exhaustion.allocators import Allocator, Allocators
from oopsight.evidence.exhaustion.losers import Losers
from oopsight.evidence.exhaustion.object_links import LINKED, UNLINKED
from oopsight.evidence.modules import module_roles, teardown
from oopsight.evidence.modules.teardown import Undoer

BUILD = ("4883ec08", "call kmalloc_trace", "4883c408 c3")
# [rdi + 0x20] = build(), if that is not zero; the same, if there is none yet.
INSTALL = ("53 4889fb", "call build", "4885c0 7404 48894320 31c0 5b c3")
FILL = ("53 4889fb 48837b2000 750e", "call build", "4885c0 7404 48894320 31c0 5b c3")
# kfree(file->private_data), without and with what that has at 0x20
DROP = ("488bbec8000000", "call kfree", "31c0 c3")
CLEAN = ("53 488b9ec8000000 488b7b20", "call kfree", "4889df", "call kfree", "5b 31c0 c3")
UNLINK = ("48b8220100000000adde 48894708 c3",)  # entry->prev = LIST_POISON2
DONE = ("8b4740 85c0 7405", "jmp kfree", "c3")  # frees it if [it + 0x40] is not zero
NOTHING = ("31c0 c3",)
# array[count++] = it, with the count at 0x28 and the array at 0x38; freed by the count at 0x2c
ENTER = ("55 4889fd", "call kmalloc_trace", "4885c0 740e 8b5528 8d4a01 894d28 488944d538 5d c3")
LEAVE = ("53 4889fb 8b432c 85c0 7415 83e801 89432c 488b7cc338", "call kfree", "8b432c ebe7 5b c3")
LEAVE_ALL = tuple(part.replace("432c", "4328") for part in LEAVE)


@pytest.fixture(autouse=True)
def _all_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())
    monkeypatch.setattr(losers, "_links", lambda *_: None)


def found(driver: Driver, maker: str = "build", called: str | None = None) -> Losers:
    at = driver.site(maker, "kmalloc_trace") - driver.starts[maker]
    allocators = Allocators("drv", (Allocator(maker, f"{maker}+{at:#x}"),))
    memory = use(cache=8000)
    function = Address(driver.starts[called]) if called is not None else None
    hint = replace(HINT, function=function)
    memory = replace(memory, caches=(replace(memory.caches[0], hint=hint),))
    told = losers.collect(driver.session, memory, MODULES, allocators, ABSENT, ABSENT)
    assert isinstance(told, Losers)
    return told


def names(told: Losers) -> list[str]:
    return [one.function for one in told.found]


def test_who_stores_over_a_field_without_a_look() -> None:
    told = found(Driver(build=BUILD, install=INSTALL, fill=FILL))
    assert names(told) == ["install"]
    assert told.makers == ("build", "install", "fill")
    assert not told.found[0].always


def test_a_variable_that_nobody_else_looks_at() -> None:
    # mov [DATA + 8], rax: by its absolute address
    at = (DATA + 8 & 0xFFFFFFFF).to_bytes(4, "little").hex()
    keep = ("4883ec08", "call kmalloc_trace", f"48890425{at} 31c0 4883c408 c3")
    told = found(Driver(keep=keep), "keep")
    assert [(one.function, one.always) for one in told.found] == [("keep", True)]
    # Another one forgets what is there: mov qword ptr [DATA + 8], 0
    told = found(Driver(keep=keep, reset=(f"48c70425{at} 00000000 c3",)), "keep")
    assert [(one.function, one.always) for one in told.found] == [("keep", False)]


def test_who_frees_an_array_by_another_count() -> None:
    assert names(found(Driver(enter=ENTER, leave=LEAVE), "enter")) == ["leave"]
    told = found(Driver(enter=ENTER, leave=LEAVE_ALL), "enter")
    assert (names(told), told.frees) == ([], ("leave",))


def test_who_takes_off_lists_what_was_taken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losers, "_links", lambda *_: UNLINKED)
    assert names(found(Driver(build=BUILD, install=INSTALL, off=UNLINK)))[0] == "off"
    monkeypatch.setattr(losers, "_links", lambda *_: LINKED)
    told = found(Driver(build=BUILD, fill=FILL, off=UNLINK, done=DONE))
    assert (names(told), told.linked) == ([], True)


def test_the_callback_that_frees_on_some_ways_only() -> None:
    driver = Driver(build=BUILD, fill=FILL, done=DONE)
    assert names(found(driver, called="done")) == ["done"]


def open_and(monkeypatch: pytest.MonkeyPatch, driver: Driver, undo: str | None) -> None:
    address = driver.starts[undo] if undo is not None else 0
    undoer = Undoer("struct file_operations", "release", address)
    monkeypatch.setattr(
        loss_signs,
        "undoers",
        lambda _session, _module, start: [undoer] if start == driver.starts["open"] else [],
    )


def test_who_is_to_undo_it_and_frees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(build=BUILD, open=INSTALL, release=NOTHING)
    open_and(monkeypatch, driver, "release")
    told = found(driver)
    assert [(one.function, one.always) for one in told.found] == [("release", True)]
    open_and(monkeypatch, driver, None)
    assert names(found(driver)) == ["open"]
    # Who has something else free it later.
    driver = Driver(build=BUILD, open=INSTALL, release=("4883ec08", "call put_device", "31c0 c3"))
    open_and(monkeypatch, driver, "release")
    assert names(found(driver)) == []


def test_who_frees_the_object_and_not_what_its_field_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver(build=BUILD, fill=FILL, open=NOTHING, release=DROP)
    open_and(monkeypatch, driver, "release")
    assert names(found(driver)) == ["release"]
    driver = Driver(build=BUILD, fill=FILL, open=NOTHING, release=CLEAN)
    open_and(monkeypatch, driver, "release")
    assert names(found(driver)) == []


@pytest.mark.parametrize(
    ("called", "frees"),
    [
        (("__alloc_percpu",), ("free_percpu",)),
        (("alloc_pages",), losers._OF_PAGES),
        (("devm_kmalloc", "kmalloc_large"), losers._OF_KMALLOC),
    ],
)
def test_what_gives_back_what_comes_from_no_cache(
    called: tuple[str, ...], frees: tuple[str, ...]
) -> None:
    assert losers._frees_of(called) == frees


def test_what_stands_in_one_table_undoes_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(open=NOTHING, release=NOTHING)
    driver.table("drv_fops", 0x40, {8: "open", 0x18: "release"})
    known: dict[str, Any] = {"struct proc_ops": (0x40, 8, 0x18), "struct pci_driver": (0x40, 0, 8)}
    monkeypatch.setattr(teardown, "_layout", lambda _prog, table, *_: known.get(table))
    told = list(teardown.undoers(driver.session, DRIVER, driver.starts["open"]))
    assert told == [Undoer("struct proc_ops", "proc_release", driver.starts["release"])]
    assert not list(teardown.undoers(driver.session, DRIVER, driver.starts["release"]))
    driver.symbols[DATA] = ("drv_fops", 0x80)
    assert not list(teardown.undoers(driver.session, DRIVER, driver.starts["open"]))


# [rdi + 0x20] = rsi, unless [rdi + 0x28] is zero
TAKE = ("8b4728 85c0 7404 48897720 c3",)
# it = build(); if that is not zero, take(object, it)
SHOOT = ("53 4889fb", "call build", "4885c0 740b 4889c6 4889df", "call take", "5b c3")


def test_who_is_handed_it_and_keeps_it_on_some_ways_only() -> None:
    told = found(Driver(build=BUILD, take=TAKE, shoot=SHOOT))
    assert names(told) == ["take"]
    # The caller may free what it did not take.
    frees = (*SHOOT[:-1], "85c0 7508 4889df", "call kfree", "5b c3")
    assert "take" not in names(found(Driver(build=BUILD, take=("31c0 c3",), shoot=frees)))


def test_who_is_handed_it_and_stores_it_over_what_was_there() -> None:
    put = ("48897720 c3",)
    told = found(Driver(build=BUILD, take=put, shoot=SHOOT))
    assert [(one.function, one.always) for one in told.found] == [("take", False)]
    # The caller has freed before what was there.
    free = ("53 4889fb 488b7b20", "call kfree", *SHOOT[1:])
    assert names(found(Driver(build=BUILD, take=put, shoot=free))) == []
    looks = ("488b4720 4885c0 7504 48897720 c3",)
    assert "stores" not in str(found(Driver(build=BUILD, take=looks, shoot=SHOOT)).found)


def test_who_is_called_before_the_kernel_frees_what_a_probe_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Driver(probe=NOTHING, remove=NOTHING)
    driver.table("drv_driver", 0x40, {8: "probe", 0x18: "remove"})
    known: dict[str, Any] = {"struct platform_driver": (0x40, 8, 0x18)}
    monkeypatch.setattr(teardown, "_layout", lambda _prog, table, *_: known.get(table))
    code = module_roles.inner_functions(driver.session, DRIVER)
    probe = [one for one in code if one.name == "probe"]
    assert teardown.unbinding(driver.session, DRIVER, probe, code, ()) == ("remove",)
    assert teardown.unbinding(driver.session, DRIVER, probe, code, ("remove",)) == ()


@pytest.mark.parametrize(
    ("order", "given", "lost"),
    [
        ("be02000000", "31f6", ["drop"]),  # four pages; xor esi, esi: one
        ("89fe", "31f6", ["drop"]),  # as many as it is told
        ("be02000000", "be02000000", []),
        ("be02000000", "8b7708", []),  # as many as the object tells
        ("31f6", "31f6", []),
    ],
)
def test_who_gives_back_fewer_pages(order: str, given: str, lost: list[str]) -> None:
    take = (f"53 4889fb {order}", "call __get_free_pages", "48894320 5b c3")
    driver = Driver(take=take, drop=(f"{given} 488b7f20", "jmp free_pages"))
    code = driver.ownership()
    sources = code.sources([driver.site("take", "__get_free_pages")])
    signs = loss_signs.LossSigns(driver.session, DRIVER, code, sources, ("free_pages",))
    assert [one.function for one in signs._fewer_pages()] == lost
