"""The function through which an object is given back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_facts import module, modules, slab_object

from oopsight.evidence import Address
from oopsight.evidence.memory.owner import Reference
from oopsight.evidence.memory.release_function import release_function
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.pointers import BytesPointer

BASE = 0xFFFFFFFFC0400000
LOADED = modules(module("bay", BASE, BASE + 0x1000, "O"))
CODE = (
    ModuleFunction("bay_release", BASE + 0x10, frozenset({"kfree"}), frozenset(), False),
    ModuleFunction("bay_show", BASE + 0x40, frozenset({"sysfs_emit"}), frozenset(), False),
)
OBJECT = slab_object(
    refers=tuple(
        Reference(8 * n, Address(one.start), one.name, "bay", BytesPointer(Address(8 * n), ""))
        for n, one in enumerate(CODE)
    )
)


def frame(function: str, module: str | None, plumbing: str | None = None) -> TrackFrame:
    return TrackFrame(Address(BASE), function, module, plumbing)


FREE = frame("free_to_partial_list", None, "allocates or frees memory for its caller")
DEVICES = frame("device_release", None, "keeps the device model for its caller")
EJECT = frame("bay_eject", "bay")


@pytest.fixture(autouse=True)
def _code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_roles, "functions", lambda *_: CODE)
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())


def test_what_the_object_points_to_and_frees_is_named() -> None:
    session: Any = SimpleNamespace(prog=SimpleNamespace(cache={}))
    found = release_function(session, LOADED, (FREE, DEVICES, EJECT), OBJECT)
    assert found is not None
    assert (found.function, found.module) == ("bay_release", "bay")


def test_who_called_the_allocator_himself_had_no_release_function_called() -> None:
    session: Any = SimpleNamespace(prog=SimpleNamespace(cache={}))
    assert release_function(session, LOADED, (FREE, EJECT), OBJECT) is None
    assert release_function(session, LOADED, (FREE, DEVICES, EJECT), None) is None
