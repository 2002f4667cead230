from __future__ import annotations

import handmade_facts as made

from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.unloaded_modules import collect
from oopsight.evidence.pointers import LogPointer, ModulePointer


def names(modules: Modules, *lines: str) -> list[tuple[str, str | None, str]]:
    return [
        (module.name, module.taints, type(module.because).__name__)
        for module in collect(modules, made.log(*lines)).modules
    ]


def test_the_kernel_comes_before_the_log() -> None:
    modules = made.modules(
        made.module("hooks", 0, 16), last="pool", unloaded_tainted=(("agent", "0x3000"),)
    )
    pointer, line = ModulePointer.__name__, LogPointer.__name__
    assert names(
        modules,
        "filter: loading out-of-tree module taints kernel.",
        "hooks: module verification failed: signature and/or required key missing",
        "Modules linked in: hooks(OE) [last unloaded: early(OE)]",
        "agent: module license 'Proprietary' taints kernel.",
    ) == [
        ("pool", None, pointer),
        ("agent", "0x3000", pointer),
        ("filter", None, line),
        ("early", None, line),
    ]


def test_none_is_known() -> None:
    assert names(made.modules(last=None), "nothing: of the kind") == []
