"""A pointer into an unloaded module, and the cases where that is not shown."""

from __future__ import annotations

from typing import Any

import pytest
from handmade_facts import (
    ABSENT,
    BAD,
    accessed,
    dangling,
    fault,
    log,
    module,
    modules,
    task,
)

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.unloaded_module_pointer import unloaded_module_pointer

OWNER = module("owner", BAD - 16, BAD + 16)


def decide(**changes: Any) -> Finding | Clear | Undecided:
    facts = {
        "fault": fault(BAD),
        "modules": modules(),
        "dangling": dangling(BAD),
        "log": ABSENT,
        "task": ABSENT,
        "accessed": ABSENT,
    }
    return unloaded_module_pointer(**(facts | changes))


def test_found() -> None:
    tainting = module("third_party", 0xFFFFFFFFC1000000, 0xFFFFFFFFC1001000, "OE")
    pure = module("ext4", 0xFFFFFFFFC2000000, 0xFFFFFFFFC2001000)
    found = decide(
        modules=modules(tainting, pure),
        log=log("usb 1-1: new device", "gone: bye"),
        task=task(),
        accessed=accessed(),
    )
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.INFERRED
    assert [(c.module, c.object) for c in found.culprits] == [("gone", "kmem_cache 'cache0'")]
    assert [i.module for i in found.innocent] == ["third_party"]
    assert all(step.because for step in found.chain)
    claims = " | ".join(step.claim for step in found.chain)
    assert "/proc/slabinfo" in claims
    assert "gone: bye" in [getattr(p, "text", "") for s in found.chain for p in s.because]


def test_without_a_remembered_name_nobody_is_blamed() -> None:
    found = decide(modules=modules(last=None))
    assert isinstance(found, Finding)
    assert found.certainty is Certainty.POSSIBLE
    assert not found.culprits


def test_the_nearest_pointer_holds_and_the_others_are_told_of() -> None:
    found = decide(dangling=dangling(BAD - 100, BAD - 4, BAD + 8))
    assert isinstance(found, Finding)
    assert found.culprits[0].object == "kmem_cache 'cache1'"
    waiting = [advice for advice in found.advice if "next crash" in advice]
    assert len(waiting) == 2
    assert "cache0" in waiting[0]
    assert "cache2" in waiting[1]


def test_a_call_into_the_module_needs_no_holder() -> None:
    assert isinstance(decide(fault=fault(BAD, access="execute"), dangling=dangling()), Finding)


@pytest.mark.parametrize(
    "changes",
    [
        {"fault": fault(BAD, exception="divide_error")},
        {"fault": fault(None)},
        {"fault": fault(0x38)},
        {"modules": modules(OWNER)},
    ],
    ids=["no-page-fault", "no-address", "outside-area", "owner-loaded"],
)
def test_clear(changes: dict[str, Any]) -> None:
    assert isinstance(decide(**changes), Clear)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"modules": modules(area=None)}, "not known"),
        ({"modules": modules(damaged=(ABSENT,))}, "module list is damaged"),
        ({"fault": fault(BAD, unmapped=None)}, "do not confirm"),
        ({"dangling": dangling()}, "no registry"),
        ({"dangling": dangling(BAD + 1)}, "no registry"),
        ({"dangling": dangling(BAD - 4096)}, "no registry"),
    ],
    ids=["no-area", "damaged-list", "mapped", "no-holder", "behind", "a-page-before"],
)
def test_undecided(changes: dict[str, Any], why: str) -> None:
    answer = decide(**changes)
    assert isinstance(answer, Undecided)
    assert why in answer.why
