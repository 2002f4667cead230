"""A verdict against the kernel alone, with and without modules from outside its tree."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding
from oopsight.diagnosis.out_of_tree import allow_for_out_of_tree
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.system import System
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.unloaded_modules import UnloadedModule, UnloadedModules
from oopsight.evidence.pointers import ModulePointer
from oopsight.kinds import Kind


def system(tainted: str) -> System:
    return System(
        release="6.1.0",
        version="#1 SMP",
        machine="x86_64",
        node="host",
        cpus=2,
        uptime=10.0,
        crash_time=None,
        tainted=tainted,
        dump_format="ELF",
        dump_problems=(),
        vmlinux="vmlinux",
    )


TAINTED, CLEAN = system("G D OE"), system("G D")
NONE_GONE = UnloadedModules(())


def finding(*modules: str | None, certainty: Certainty = Certainty.SHOWN) -> Finding:
    return Finding(
        title="t",
        summary="s",
        certainty=certainty,
        depth=Depth.ROOT_CAUSE,
        chain=(),
        culprits=tuple(Culprit(one, "function", None, None, "on the path") for one in modules),
    )


def loaded(**taints: str) -> Modules:
    modules = tuple(Module(name, Address(0), (), taint) for name, taint in taints.items())
    return Modules(modules, (), None, None)


def suspects(one: Finding) -> list[tuple[str | None, str | None]]:
    return [(culprit.module, culprit.function) for culprit in one.culprits]


@pytest.mark.parametrize("cause", ["use_after_free", "bug_on", "workqueue_stall"])
def test_the_kernel_alone_is_only_possibly_to_blame_for_what_others_can_do(cause: str) -> None:
    allowed = allow_for_out_of_tree(cause, finding(None), TAINTED, loaded(), NONE_GONE)
    assert allowed.certainty is Certainty.POSSIBLE
    assert len(allowed.advice) == 1
    assert suspects(allowed) == [(None, "function")]


@pytest.mark.parametrize(
    ("cause", "module", "machine"),
    [
        ("use_after_free", None, CLEAN),
        ("use_after_free", None, Missing(Why.NO_SYMBOLS, "by hand")),
        ("use_after_free", "mod", TAINTED),
        ("init_killed", None, TAINTED),
    ],
)
def test_otherwise_nothing_is_taken_away(
    cause: str, module: str | None, machine: System | Missing
) -> None:
    one = finding(module)
    assert allow_for_out_of_tree(cause, one, machine, loaded(mod="OE"), NONE_GONE) is one


def test_the_only_module_from_outside_comes_before_the_kernel() -> None:
    modules = loaded(virtio_blk="", mod="OE")
    allowed = allow_for_out_of_tree("use_after_free", finding(None), TAINTED, modules, NONE_GONE)
    assert suspects(allowed) == [("mod", None), (None, "function")]
    assert "the only module" in allowed.culprits[0].why


@pytest.mark.parametrize(
    ("modules", "gone"),
    [
        (loaded(one="O", other="O"), NONE_GONE),
        (
            loaded(one="O"),
            UnloadedModules(
                (UnloadedModule("other", "O", "by hand", ModulePointer("other", False, None)),)
            ),
        ),
    ],
)
def test_of_two_modules_none_is_picked(modules: Modules, gone: UnloadedModules) -> None:
    allowed = allow_for_out_of_tree("use_after_free", finding(None), TAINTED, modules, gone)
    assert suspects(allowed) == [(None, "function")]


def test_a_module_that_is_suspected_comes_before_the_kernel_where_nothing_is_sure() -> None:
    one = finding(None, "virtio_blk", "mod", certainty=Certainty.POSSIBLE)
    modules = loaded(virtio_blk="", mod="OE", other="O")
    allowed = allow_for_out_of_tree("use_after_free", one, TAINTED, modules, NONE_GONE)
    assert [module for module, _ in suspects(allowed)] == ["mod", None, "virtio_blk"]


def test_where_no_rule_explains_it_the_only_module_is_named_as_well() -> None:
    one = replace(finding(certainty=Certainty.UNKNOWN), culprits=())
    allowed = allow_for_out_of_tree(None, one, TAINTED, loaded(mod="OE"), NONE_GONE)
    assert suspects(allowed) == [("mod", None)]
    assert allowed.certainty is Certainty.UNKNOWN


def test_where_nothing_crashed_nobody_is_suspect() -> None:
    well = replace(finding(certainty=Certainty.UNKNOWN), kind=Kind.NOT_A_CRASH)
    assert allow_for_out_of_tree(None, well, TAINTED, loaded(drv="O"), NONE_GONE) is well
