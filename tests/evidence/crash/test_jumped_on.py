"""Functions that are on the way to a crash and have left no frame."""

from __future__ import annotations

import pytest
from handmade_facts import module, modules
from handmade_session import Machine

from oopsight.evidence.crash import jumped_on as collector
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


def test_names_from_the_dump_are_escaped() -> None:
    made = calling(STOP)
    made.symbols[STOP] = ("drv\x1b[2J_stop.isra.0", 0x20)
    assert found(made, KERNEL + 9) == JumpedOn(r"drv\x1b[2J_stop", "drv")


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


HELPER, SET, TABLE = 0xFFFFFFFFC0000200, 0xFFFFFFFFC0000280, 0xFFFFFFFFC0000800
RETURNS_INTO_KERNEL = KERNEL + 0x20


def lamps(*held: int, symbols: bytes = b"") -> Machine:
    """``drv_set`` ends in a jump to ``drv_transfer``; the module's data hold some addresses.

    The kernel called through a pointer.
    """
    made = Machine()
    made.symbols[KERNEL] = ("trigger_event", 0x100)
    made.symbols[HELPER] = ("drv_transfer", 0x40)
    made.symbols[SET] = ("drv_set", 0x20)
    made.memory[RETURNS_INTO_KERNEL - 5] = b"\x90\x90\x90\xff\xd0"
    page = bytearray(b"\xcc" * 0x1000)
    page[0x280:0x285] = bytes.fromhex("0fb6570c90")
    page[0x285:0x28A] = b"\xe9" + (HELPER - SET - 10 & 0xFFFFFFFF).to_bytes(4, "little")
    data = b"".join(value.to_bytes(8, "little") for value in held) + symbols
    page[0x800 : 0x800 + len(data)] = data
    made.memory[0xFFFFFFFFC0000000] = bytes(page)
    return made


def led_to(made: Machine) -> JumpedOn | None:
    drv = modules(module("drv", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0001000, "OE"))
    return jumped_on(made, drv, RETURNS_INTO_KERNEL, HELPER + 9)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> range:
    """Where the module lists its functions for ftrace."""
    listed = range(TABLE + 0x100, TABLE + 0x110)
    monkeypatch.setattr(collector, "_call_sites_of_ftrace", lambda *_: listed)
    return listed


@pytest.mark.usefixtures("traced")
def test_a_pointer_cannot_have_led_to_a_function_whose_address_nobody_takes() -> None:
    assert led_to(lamps(SET)) == JumpedOn("drv_set", "drv", by_name=True)
    # Nor one that only the module's symbol table has.
    entry = HELPER.to_bytes(8, "little") + (0x40).to_bytes(8, "little")
    entry = entry.ljust(0x100 - 8, b"\0") + HELPER.to_bytes(8, "little")  # and that of ftrace
    assert led_to(lamps(SET, symbols=entry)) == JumpedOn("drv_set", "drv", by_name=True)


@pytest.mark.usefixtures("traced")
def test_a_pointer_may_have_led_to_a_function_whose_address_is_kept() -> None:
    assert led_to(lamps(SET, HELPER)) is None
    # And who jumps there has to have been called itself.
    assert led_to(lamps()) is None


@pytest.mark.usefixtures("traced")
def test_a_function_that_begins_with_a_landing_pad_may_be_called_through_a_pointer() -> None:
    made = lamps(SET)
    page = bytearray(made.memory[0xFFFFFFFFC0000000])
    page[0x200:0x204] = bytes.fromhex("f30f1efa")
    made.memory[0xFFFFFFFFC0000000] = bytes(page)
    assert led_to(made) is None


def test_a_call_that_names_the_function_has_nobody_between() -> None:
    made = lamps(SET)
    distance = (HELPER - RETURNS_INTO_KERNEL) % (1 << 32)
    made.memory[RETURNS_INTO_KERNEL - 5] = b"\xe8" + distance.to_bytes(4, "little")
    assert led_to(made) is None
