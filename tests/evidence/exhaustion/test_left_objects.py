"""Objects that were left in a cache as it was destroyed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_driver import DRIVER, MODULES
from handmade_facts import ABSENT, backtrace, log

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.exhaustion import left_objects
from oopsight.evidence.exhaustion.allocators import Allocator
from oopsight.evidence.exhaustion.left_objects import LeftObjects, collect
from oopsight.evidence.exhaustion.object_links import UNLINKED
from oopsight.evidence.modules.module_transition import ModuleTransition

SESSION: Any = SimpleNamespace(prog=None)
LEAVING = ModuleTransition("drv", "exit", ("drv_exit",), None)  # type: ignore[arg-type]
PATH = backtrace(kmem_cache_destroy=Role.FAULT, delete_module=Role.CALLER)
SAID = (
    "BUG order (Tainted: G  OE   ): Objects remaining on __kmem_cache_shutdown()",
    "BUG order (Not tainted): Objects remaining in order on __kmem_cache_shutdown()",
    "kmem_cache_destroy order: Slab cache still has objects when called from drv_exit+0x1c/0xd2",
)


def value(known: int) -> Any:
    return SimpleNamespace(value_=lambda: known)


class Cache:
    def __init__(self, name: str, at: int) -> None:
        self.name = name
        self.object_size = value(64)
        self.value_ = lambda: at


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked of the module's code."""
    seen: list[Any] = []

    def allocating(_session: Any, _modules: Any, module: Any, cache: int, size: int) -> Any:
        seen.append((module.name, cache, size))
        return (Allocator("new", "new+0x10"),), True

    def from_cache(*args: Any) -> str:
        seen.append(args[-1])
        return "losers"

    caches = [Cache("other", 1), Cache("order", 2)]
    monkeypatch.setattr(left_objects, "c_string", str.encode)
    monkeypatch.setattr(left_objects, "slab_caches", lambda *_: iter(caches))
    monkeypatch.setattr(left_objects, "allocating", allocating)
    monkeypatch.setattr(left_objects, "from_cache", from_cache)
    monkeypatch.setattr(left_objects, "links", lambda *_, few: UNLINKED if few else None)
    return seen


@pytest.mark.parametrize("said", SAID)
def test_the_cache_is_found_by_the_name_that_the_kernel_says(said: str, asked: list[Any]) -> None:
    found = collect(SESSION, log(said), MODULES, LEAVING, PATH)
    assert isinstance(found, LeftObjects)
    assert (found.cache, found.losers) == ("order", "losers")
    assert asked == [(DRIVER.name, 2, 64), UNLINKED]


def test_without_the_cache_or_the_module_its_code_is_not_asked(asked: list[Any]) -> None:
    for said, leaving in ((SAID[0].replace("order", "gone"), LEAVING), (SAID[0], ABSENT)):
        found = collect(SESSION, log(said), MODULES, leaving, PATH)
        assert isinstance(found, LeftObjects)
        assert found.losers is None
    assert not asked


def test_another_warning_is_not_about_them() -> None:
    path = backtrace(remove_proc_entry=Role.FAULT)
    assert isinstance(collect(SESSION, log(SAID[0]), MODULES, LEAVING, path), Missing)
    assert isinstance(collect(SESSION, log("BUG order: Poison"), MODULES, LEAVING, PATH), Missing)
