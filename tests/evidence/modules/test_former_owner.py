from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import handmade_facts as made
import pytest
from handmade_modules import NAMES, OBJECT, PARTS, Name, modinfo, module

from oopsight.evidence import Missing
from oopsight.evidence.modules import former_owner
from oopsight.evidence.modules.dangling import DanglingPointers
from oopsight.evidence.modules.former_owner import FormerOwner, collect
from oopsight.evidence.modules.unloaded_modules import UnloadedModule, UnloadedModules
from oopsight.kernel.module_remains import Description, RemainingSymbol
from oopsight.session import Session
from oopsight.symbols.module_file import ModuleSymbol
from oopsight.symbols.module_places import Place

PAGE = made.BAD & -4096
NAME = PAGE + 0x8  # where the file has pool_name
WORK = PAGE + 0x20  # … pool_work
EXIT = PAGE + 0x30  # … pool_exit, and the middle of pool_work
LAST = made.BAD + 0x10000
RELEASE = "6.1.0-9-amd64"


class Case:
    """A machine with unloaded modules, and what is at hand of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder = folder
        self.remains: list[Description] = []
        self.again: dict[str, tuple[ModuleSymbol, ...]] = {}
        self.loaded: tuple[Any, ...] = ()
        self.last: str | None = "gone"
        monkeypatch.setattr(former_owner, "remains_of", lambda *_: tuple(self.remains))
        monkeypatch.setattr(former_owner, "_memory", lambda _, d, __: (d,) if d else ())
        monkeypatch.setattr(former_owner, "_loaded_copy", self._copy)

    def _copy(self, session: object, name: str) -> former_owner._Names:
        return former_owner._Names("the copy", self.again.get(name, ()), None)

    def file(self, name: str = "pool", release: str = RELEASE, imports: str = "") -> None:
        used = tuple(Name(word, "", 0, 0, 0) for word in imports.split())
        data = module(*PARTS, modinfo(name, release), names=(*NAMES, *used))
        (self.folder / f"{name}.ko").write_bytes(data)

    def description(self, name: str, start: int = PAGE - 0x1000, exit_: int = 0) -> None:
        self.remains.append(
            Description(name, 0xFFFF888000001000, ((start, start + 0x4000),), exit_, ())
        )

    def owner(self, address: int, *gone: str, **changes: Any) -> FormerOwner | Missing:
        place = Place(self.folder, "at hand")
        session = cast(
            "Session",
            SimpleNamespace(
                module_places=(place,),
                info=SimpleNamespace(release=RELEASE),
                prog={"last_unloaded_module": SimpleNamespace(address_=LAST)},
                read=lambda _, size: bytes(size) if self.last is None else b"x" * size,
            ),
        )
        pointer = made.modules().last_unloaded_pointer
        assert pointer is not None
        known = tuple(UnloadedModule(name, None, "the log", pointer) for name in gone)
        held = changes.pop("held", DanglingPointers((), ()))
        fault = made.fault(address, **changes)
        modules = made.modules(*self.loaded, last=self.last)
        return collect(session, fault, modules, held, UnloadedModules(known))

    def found(self, address: int, *gone: str, **changes: Any) -> FormerOwner:
        owner = self.owner(address, *gone, **changes)
        assert isinstance(owner, FormerOwner)
        return owner


@pytest.fixture
def case(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Case:
    return Case(monkeypatch, tmp_path)


def test_the_file_names_what_was_there_and_who_did_not_take_it_back(case: Case) -> None:
    case.file()
    owner = case.found(NAME, "pool")
    assert (owner.module, owner.symbol, owner.function) == ("pool", "pool_name", False)
    assert (owner.exit, owner.source) == ("pool_exit", "pool.ko at hand")
    assert owner.sure


def test_how_it_was_accessed_tells_functions_from_data(case: Case) -> None:
    case.file()
    assert case.found(EXIT, "pool", access="execute").symbol == "pool_exit"
    assert case.found(EXIT, "pool").symbol == "pool_work"
    assert case.found(EXIT + 8, "pool").symbol == "pool_work"
    assert case.found(EXIT + 8, "pool", access="execute").symbol == "pool_exit"


def test_the_copy_that_is_loaded_again_comes_before_the_file(case: Case) -> None:
    case.file()
    case.again["pool"] = (ModuleSymbol("other_name", 0x8, 8, function=False),)
    owner = case.found(NAME, "pool")
    assert (owner.symbol, owner.source, owner.exit) == ("other_name", "the copy", None)


def test_what_is_ambiguous_is_not_named(case: Case) -> None:
    case.again["pool"] = tuple(
        ModuleSymbol(name, 0x8, 8, function=False) for name in ("one", "two")
    )
    owner = case.found(NAME, "pool")
    assert (owner.module, owner.symbol, owner.sure) == ("pool", None, True)
    assert owner.refused == ("the copy: 2 symbols fit",)


def test_a_file_of_another_kernel_or_module_is_refused(case: Case) -> None:
    case.file(release="6.1.0-8-amd64")
    owner = case.found(NAME, "pool")
    assert owner.symbol is None
    assert owner.refused == ("pool.ko at hand: it was built for 6.1.0-8-amd64",)
    (case.folder / "pool.ko").write_bytes(module(*PARTS, modinfo("fool")))
    assert case.found(NAME, "pool").refused == ("pool.ko at hand: it is a module named fool",)


def test_a_file_of_another_build_is_refused_by_what_is_left_of_the_module(case: Case) -> None:
    case.file()
    case.description("pool", exit_=PAGE + 0x40)
    owner = case.found(NAME, "pool")
    assert owner.symbol is None
    assert "another build" in owner.refused[0]
    case.remains = []
    case.description("pool", exit_=EXIT)
    assert case.found(NAME, "pool").symbol == "pool_name"


def test_the_exit_function_is_named_where_the_description_agrees_with_the_file(case: Case) -> None:
    case.file()
    case.description("pool", exit_=EXIT)
    owner = case.found(PAGE + 0x900, "pool")
    assert (owner.symbol, owner.exit, owner.source) == (None, "pool_exit", "pool.ko at hand")
    case.remains = []
    assert case.found(PAGE + 0x900, "pool").exit is None


def test_of_several_symbols_that_fit_none_is_named_but_the_exit_function_is(case: Case) -> None:
    twin = Name("pool_twin", ".data", 0x8, 0x10, OBJECT)
    data = module(*PARTS, modinfo(), names=(*NAMES, twin))
    (case.folder / "pool.ko").write_bytes(data)
    owner = case.found(NAME, "pool")
    assert (owner.symbol, owner.exit, owner.sure) == (None, "pool_exit", True)
    owner = case.found(NAME, "pool", "other")
    assert (owner.module, owner.exit, owner.sure) == ("pool", None, False)


def test_a_file_that_would_lie_over_a_loaded_module_is_refused(case: Case) -> None:
    case.file()
    case.loaded = (made.module("next", PAGE + 0x1000, PAGE + 0x3000),)
    # pool_work's part is larger than a page, that of pool_name is not.
    assert case.found(WORK, "pool").symbol is None
    assert case.found(NAME, "pool").symbol == "pool_name"


def test_its_description_tells_which_of_two_it_was(case: Case) -> None:
    case.description("first")
    owner = case.found(NAME, "last", "first")
    assert (owner.module, owner.sure, owner.others) == ("first", False, ("last",))
    assert owner.description
    case.description("last", PAGE + 0x8000)
    owner = case.found(NAME, "last", "first")
    assert (owner.module, owner.sure, owner.others) == ("first", True, ())
    assert owner.elsewhere == ("last",)


def test_one_that_lay_elsewhere_leaves_the_other_only_likely(case: Case) -> None:
    case.description("last", PAGE + 0x8000)
    owner = case.found(NAME, "last", "first")
    # It may have been loaded more than once.
    assert (owner.module, owner.sure) == ("first", False)
    case.file("first")
    assert case.found(NAME, "last", "first").sure


def test_of_two_descriptions_of_the_same_place_the_symbol_decides(case: Case) -> None:
    case.description("one")
    case.description("two")
    case.remains[1] = dataclasses.replace(
        case.remains[1], symbols=(RemainingSymbol("two_name", NAME, 16, function=False),)
    )
    owner = case.found(NAME, "one", "two")
    assert (owner.module, owner.symbol, owner.sure) == ("two", "two_name", True)
    assert owner.source == "what is left of its symbol table"


def test_files_of_both_single_one_out(case: Case) -> None:
    case.file("first")
    (case.folder / "last.ko").write_bytes(module(*PARTS[:1], modinfo("last"), names=()))
    owner = case.found(NAME, "last", "first")
    assert (owner.module, owner.sure, owner.others) == ("first", False, ("last",))
    case.again["last"] = (ModuleSymbol("elsewhere", 0x800, 8, function=False),)
    owner = case.found(NAME, "last", "first")
    assert (owner.module, owner.sure, owner.others) == ("first", True, ())


def test_where_nothing_tells_them_apart_none_is_sure(case: Case) -> None:
    owner = case.found(NAME, "last", "first")
    assert (owner.module, owner.sure, owner.others) == ("last", False, ("first",))
    for name in ("first", "last"):
        case.file(name)
    owner = case.found(NAME, "last", "first")
    assert (owner.sure, owner.symbol) == (False, None)


def test_the_last_one_may_call_nothing_that_leaves_such_a_thing(case: Case) -> None:
    held = made.dangling(NAME)
    assert {d.registry for d in held.found} == {"slab_caches"}
    case.file("last", imports="printk misc_register")
    # Without a file of another there is nobody else.
    assert case.found(NAME, "last", held=held).module == "last"
    case.file("first", imports="printk kmem_cache_create_usercopy")
    case.file("third", imports="printk")
    owner = case.found(NAME, "last", held=held)
    assert (owner.module, owner.symbol, owner.exit) == ("first", "pool_name", "pool_exit")
    assert (owner.by_file, owner.placed, owner.unable) == (True, False, ("last",))
    # One that is loaded was not unloaded, one whose symbols lie elsewhere does not fit.
    case.loaded = (made.module("first", PAGE + 0x10000, PAGE + 0x12000),)
    assert case.found(NAME, "last", held=held).module == "last"
    case.loaded = ()
    assert case.found(PAGE + 0x900, "last", held=made.dangling(PAGE + 0x900)).module == "last"
    # It may have left it itself.
    case.file("last", imports="kmem_cache_create")
    assert case.found(NAME, "last", held=held).module == "last"


def test_of_two_that_fit_the_one_that_can_leave_such_a_thing_is_named(case: Case) -> None:
    held = made.dangling(NAME)
    case.file("last", imports="printk")
    case.file("first", imports="printk kmem_cache_create_usercopy")
    owner = case.found(NAME, "last", "first", held=held)
    assert (owner.module, owner.symbol, owner.unable) == ("first", "pool_name", ("last",))
    # A symbol of the other begins there as well: that of this one may do so by chance.
    assert not owner.placed
    (case.folder / "last.ko").write_bytes(module(*PARTS[:1], modinfo("last"), names=()))
    assert case.found(NAME, "last", "first", held=held).placed


def test_the_pointer_counts_not_where_behind_it_the_fault_was(case: Case) -> None:
    case.file()
    owner = case.found(NAME + 4, "pool", held=made.dangling(NAME))
    assert (owner.begin, owner.symbol) == (NAME, "pool_name")


def test_without_a_module_that_is_gone_there_is_no_owner(case: Case) -> None:
    assert isinstance(case.owner(NAME), Missing)
    case.loaded = (made.module("alive", PAGE, PAGE + 0x1000),)
    assert isinstance(case.owner(NAME, "pool"), Missing)
    assert isinstance(case.owner(0x38, "pool"), Missing)


def test_where_none_was_unloaded_one_had_failed_to_load(case: Case) -> None:
    case.last = None
    assert isinstance(case.owner(NAME, held=made.dangling(NAME)), Missing)
    case.file(imports="kmem_cache_create")
    owner = case.found(NAME, held=made.dangling(NAME))
    assert (owner.module, owner.symbol, owner.by_file) == ("pool", "pool_name", True)
    assert (owner.init, owner.exit) == ("pool_init", None)
    assert owner.never is not None
    assert owner.never.address == LAST
    # The log may have told that it was loaded, and is not any more.
    told = case.found(NAME, "pool", held=made.dangling(NAME))
    assert (told.init, told.exit, told.by_file) == ("pool_init", None, False)
