"""Return addresses on stacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.memory.object_users import ObjectUsers
from oopsight.evidence.modules import footprints
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.footprints import Footprints, collect

MODULE, KFREE, STACK = 0xFFFFFFFFC0300000, 0xFFFFFFFF81200000, 0xFFFFC90000100000
CLOSE, RUN = MODULE, MODULE + 0x40
MODULES = made.modules(made.module("recorder", MODULE, MODULE + 0x1000, "O"))
DOERS = Doers("recorder", (), ("rec_close", "rec_reset"), ())
USERS = made.users(made.slab_object("free"))


OVERRUN = replace(USERS, question="overrun", overrun=made.overrun())


def call(target: int, at: int) -> bytes:
    return b"\xe8" + ((target - at - 5) & 0xFFFFFFFF).to_bytes(4, "little")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """rec_close() calls kfree(), and rec_run() rec_close()."""
    machine = Machine()
    code = call(KFREE, CLOSE).ljust(0x40, b"\x90") + call(CLOSE, RUN)
    machine.memory[MODULE] = code.ljust(0x1000, b"\x90")
    machine.memory[STACK] = bytes(1 << 14)
    symbols = {CLOSE: ("rec_close", 0x40), RUN: ("rec_run", 0x40), KFREE: ("kfree", 0x100)}

    class Reader:
        def __init__(self, _: object) -> None:
            pass

        def read(self, address: int, size: int) -> bytes | None:
            return machine.read(address, size)

        def function(self, address: int) -> tuple[str, int, int] | None:
            for start, (name, size) in symbols.items():
                if start <= address < start + size:
                    return name, start, size
            return None

        code_symbol = function

    monkeypatch.setattr(footprints, "SessionReader", Reader)
    monkeypatch.setattr(footprints, "_task_stacks", lambda _: [("the stack of recd (7)", STACK)])
    monkeypatch.setattr(footprints, "_interrupt_stacks", lambda _: [])
    return machine


def collected(machine: Machine, *words: int, **changes: Any) -> Footprints | Missing:
    stack = b"".join(word.to_bytes(8, "little") for word in words)
    machine.memory[STACK] = stack.ljust(1 << 14, b"\0")
    trace = changes.pop("backtrace", made.backtrace())
    users = changes.pop("users", USERS)
    return collect(machine.session, replace(DOERS, **changes), users, MODULES, trace)


def test_calls_are_told_by_their_return_addresses(machine: Machine) -> None:
    found = collected(machine, 0, CLOSE + 5, RUN + 5)
    assert isinstance(found, Footprints)
    one = found.freeing("rec_close")
    assert one is not None
    assert (one.stack, one.memory.address) == ("the stack of recd (7)", STACK + 8)
    assert found.to("rec_close").function == "rec_run"
    assert found.freeing("rec_run") is None


def test_other_words_are_no_calls(machine: Machine) -> None:
    # Not behind a call, not in the module, and one byte off a word's beginning.
    shifted = (CLOSE + 5) << 8 & (1 << 64) - 1
    found = collected(machine, CLOSE + 6, KFREE + 5, shifted, 0xFF)
    assert found == Footprints("recorder", ())


def test_a_call_that_is_in_progress_is_none_of_before(machine: Machine) -> None:
    frame = replace(made.backtrace(rec_close=made.Role.CALLER).frames[0], pc=CLOSE + 5)
    trace = replace(made.backtrace(), frames=(frame,))
    found = collected(machine, CLOSE + 5, backtrace=trace)
    assert found == Footprints("recorder", ())


def test_one_suspect_needs_no_choice(machine: Machine) -> None:
    assert isinstance(collected(machine, CLOSE + 5, frees=("rec_close",)), Missing)


def writing(*ranks: int) -> ObjectUsers:
    use = replace(OVERRUN.modules[0], module="recorder", writes=("rec_close", "rec_run"))
    return replace(OVERRUN, modules=(replace(use, ranks=ranks),))


def test_writers_alike_are_several_as_well(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footprints, "is_copy", lambda called: called == "kfree")
    found = collected(machine, CLOSE + 5, users=writing(0, 0), frees=())
    assert isinstance(found, Footprints)
    assert found.copying("rec_close") is not None
    assert found.copying("rec_run") is None
    assert isinstance(collected(machine, CLOSE + 5, users=writing(0, 2)), Missing)
