"""A verdict against the kernel alone, with and without modules from outside its tree."""

from __future__ import annotations

import pytest

from oopsight.diagnosis import Certainty, Culprit, Depth, Finding
from oopsight.diagnosis.out_of_tree import allow_for_out_of_tree
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.system import System


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


def finding(module: str | None, certainty: Certainty = Certainty.SHOWN) -> Finding:
    return Finding(
        title="t",
        summary="s",
        certainty=certainty,
        depth=Depth.ROOT_CAUSE,
        chain=(),
        culprits=(Culprit(module, "function", None, None, "on the path"),),
    )


@pytest.mark.parametrize("cause", ["use_after_free", "bug_on", "workqueue_stall"])
def test_the_kernel_alone_is_only_possibly_to_blame_for_what_others_can_do(cause: str) -> None:
    allowed = allow_for_out_of_tree(cause, finding(None), TAINTED)
    assert allowed.certainty is Certainty.POSSIBLE
    assert len(allowed.advice) == 1


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
    assert allow_for_out_of_tree(cause, one, machine) is one
