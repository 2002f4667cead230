"""Symbols of modules, read module by module, are those that drgn reads all at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from drgn import Symbol
from drgn.helpers.linux.kallsyms import load_module_kallsyms
from drgn.helpers.linux.module import for_each_module
from lab_dumps import Maker, opened

from oopsight.symbols.module_names import ModuleNames


def plain(symbols: Sequence[Symbol]) -> list[tuple[str, int, int, str, str]]:
    return sorted((s.name, s.address, s.size, s.binding.name, s.kind.name) for s in symbols)


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_the_names_are_drgns(kernel: str, maker: Maker) -> None:
    prog = opened(maker.get(("incident", kernel, "kdump"))).prog
    whole, names = load_module_kallsyms(prog), ModuleNames(prog)
    by_name = {s.name for s in whole(prog, None, None, False)}
    for name in by_name:  # while no module has been read for another reason
        assert plain(names(prog, name, None, False)) == plain(whole(prog, name, None, False))
    everything = [symbol for symbol in whole(prog, None, None, False) if symbol.address]
    assert len(everything) > 100
    assert len(list(for_each_module(prog))) > 1
    for symbol in everything:
        inside = symbol.address + symbol.size // 2
        for one in (False, True):
            assert plain(names(prog, None, inside, one)) == plain(whole(prog, None, inside, one))
    assert plain(names(prog, None, None, False)) == plain(whole(prog, None, None, False))


def test_only_the_module_in_question_is_read(maker: Maker) -> None:
    prog = opened(maker.get(("incident", "6.1", "kdump"))).prog
    names = ModuleNames(prog)
    assert names(prog, None, 0x1000, False) == []
    assert names(prog, "no_such_function", None, False) == []
    assert not names._indices
    module = next(for_each_module(prog))
    names(prog, None, module.core_layout.base.value_(), True)
    assert len(names._indices) == 1
