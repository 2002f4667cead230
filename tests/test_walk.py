"""Lists that run into themselves, as in a dump whose memory was damaged."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from drgn import FaultError

from oopsight.symbols.module_names import ModuleNames
from oopsight.walk import each_once

ONE, TWO, THREE = (
    SimpleNamespace(value_=lambda at=at: at, name=SimpleNamespace(string_=lambda: b"drv"))
    for at in (0xFFFFFFFFC0001000, 0xFFFFFFFFC0002000, 0xFFFFFFFFC0003000)
)


@pytest.mark.parametrize(
    ("objects", "found"),
    [
        ([], []),
        ([ONE, TWO], [ONE, TWO]),
        # Back to the second, and not by way of the head.
        (itertools.chain([ONE], itertools.cycle([TWO, THREE])), [ONE, TWO, THREE]),
        (itertools.repeat(ONE), [ONE]),
    ],
)
def test_a_list_ends_where_it_comes_to_an_object_again(
    objects: Iterable[Any], found: list[Any]
) -> None:
    assert list(each_once(objects, 100)) == found


def test_a_list_of_too_many_is_cut_off() -> None:
    endless = (SimpleNamespace(value_=lambda at=at: at) for at in itertools.count())
    assert len(list(each_once(endless, 100))) == 100


def test_what_came_before_a_link_that_cannot_be_read_is_given() -> None:
    def torn() -> Any:
        yield ONE
        raise FaultError("torn", 0)

    walk = each_once(torn(), 100)
    assert next(walk) is ONE
    with pytest.raises(FaultError):
        next(walk)


def test_modules_are_named_although_their_list_has_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    modules = itertools.cycle([ONE, TWO])
    monkeypatch.setattr("drgn.helpers.linux.module.for_each_module", lambda _: modules)
    monkeypatch.setattr(
        "drgn.helpers.linux.module.module_address_regions", lambda one: [(one.value_(), 0x1000)]
    )
    names: Any = ModuleNames(None)
    assert list(names._modules_at(0xFFFFFFFFC0002010)) == [1]
