"""An area of vmalloc that was gone as the kernel was to copy it."""

from __future__ import annotations

from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.use_after_free import gone_area
from oopsight.evidence.use_after_free.gone_area import GoneArea, collect

MODULES = made.modules(
    made.module("rec", 0xFFFFFFFFC0300000, 0xFFFFFFFFC0301000, "O"),
    made.module("pad", 0xFFFFFFFFC0400000, 0xFFFFFFFFC0401000, "O"),
    made.module("virtio_blk", 0xFFFFFFFFC0500000, 0xFFFFFFFFC0501000),
)
SAID = "usercopy: Kernel memory exposure attempt from vmalloc 'no area' (offset 0, size 9)!"


def function(name: str, *calls: str) -> ModuleFunction:
    return ModuleFunction(name, 0x1000, frozenset(calls), frozenset(), copies=False)


CODE = {
    "rec": [
        function("rec_probe", "vfree", "misc_register"),
        function("rec_resize", "vfree"),
        function("rec_show"),
    ],
    "pad": [function("pad_close", "kfree")],
    "virtio_blk": [function("virtblk_free", "vfree")],
}


def found(monkeypatch: pytest.MonkeyPatch, said: str = SAID, **code: Any) -> Any:
    known = {**CODE, **code}
    monkeypatch.setattr(gone_area, "inner_functions", lambda _, module: known[module.name])
    return collect(Machine().session, made.log(said), MODULES)


def test_who_gives_such_areas_back(monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(monkeypatch)
    assert isinstance(one, GoneArea)
    assert (one.module, one.frees) == ("rec", ("rec_resize", "rec_probe"))
    assert one.line.text == SAID


def test_of_two_modules_none_is_picked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(found(monkeypatch, pad=[function("pad_close", "kvfree")]), Missing)
    assert isinstance(found(monkeypatch, rec=[]), Missing)
    assert isinstance(found(monkeypatch, said="usercopy: from SLUB object 'a'"), Missing)
