"""Functions that are on the way to a crash and have left no frame."""

from __future__ import annotations

import pytest
from handmade_facts import module, modules
from handmade_session import Machine

from oopsight.evidence.crash.jumped_on import JumpedOn, jumped_on, named_target

KERNEL = 0xFFFFFFFF81000000
STOP, PAUSE, COLD = 0xFFFFFFFFC0000080, 0xFFFFFFFFC00000E0, 0xFFFFFFFFC0000400
DRIVER = modules(module("drv", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0001000))
RETURNS_TO = PAUSE + 0x40


def calling(target: int, code: bytes = b"\xe8") -> Machine:
    """``drv_pause`` calls a target; ``kthread_stop`` is the kernel's."""
    made = Machine()
    made.symbols[KERNEL] = ("kthread_stop", 0x100)
    made.symbols[STOP] = ("drv_stop.constprop.0", 0x20)
    made.symbols[PAUSE] = ("drv_pause", 0x80)
    made.symbols[COLD] = ("drv_pause.cold", 0x20)
    distance = (target - RETURNS_TO) % (1 << 32)
    made.memory[RETURNS_TO - 5] = code + distance.to_bytes(4, "little")
    return made


def found(made: Machine, inner: int) -> JumpedOn | None:
    return jumped_on(made, DRIVER, RETURNS_TO, inner)


def test_what_was_called_and_is_not_there_has_jumped_on() -> None:
    assert found(calling(STOP), KERNEL + 9) == JumpedOn("drv_stop", "drv")
    # A direct call may skip the landing pad.
    assert found(calling(STOP + 4), KERNEL + 9) == JumpedOn("drv_stop", "drv")


def test_what_was_called_and_is_there_has_a_frame() -> None:
    assert found(calling(STOP), STOP + 9) is None
    assert found(calling(PAUSE), COLD + 9) is None


def test_only_calls_of_a_modules_function_by_its_name_tell() -> None:
    assert found(calling(KERNEL), KERNEL + 9) is None
    assert found(calling(STOP + 1), KERNEL + 9) is None
    assert found(calling(STOP, b"\xff"), KERNEL + 9) is None
    made = calling(STOP)
    made.memory.clear()
    assert found(made, KERNEL + 9) is None


@pytest.mark.parametrize("returns_to", [0, 3])
def test_a_jump_through_a_null_pointer_has_nobody_outside(returns_to: int) -> None:
    assert named_target(Machine(), returns_to) is None
