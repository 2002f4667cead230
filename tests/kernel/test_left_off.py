"""Ways out with something switched off, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_code import NAMES, START, assemble, function

from oopsight.kernel.code_locks import Function
from oopsight.kernel.left_off import Left, Switch, Ways, ways_out
from oopsight.kernel.machine_code import Expression, Instruction

OFF, ON = "call mutex_lock", "call mutex_unlock"
# mov rbx,rdi; OFF; if (helper()) goto 2; mov rdi,rbx; ON; 2: ret
FAILING = ("53 4889fb", OFF, "call helper", "85c0 7508 4889df", ON, "5b c3")
# movzx ebp,[rdi+8]; if (ebp) OFF; if (ebp) ON; ret
BOTH_OR_NONE = ("55 0fb66f08 4084ed 7405", OFF, "4084ed 7405", ON, "5d c3")
# The same, but helper()'s result is what the second one asks for.
ASKED_AGAIN = ("55 0fb66f08 4084ed 7405", OFF, "call helper", "85c0 7405", ON, "5d c3")


def does(target: int) -> Switch | None:
    return {"mutex_lock": Switch.OFF, "mutex_unlock": Switch.ON}.get(NAMES.get(target, ""))


def ways(*code: str) -> Ways:
    found = ways_out(function(*code), does)
    assert found is not None
    return found


def test_a_way_that_leaves_it_off() -> None:
    assert ways(*FAILING).leaks == (Left(START + 4, START + 27),)
    assert ways(*FAILING).effect is None


# if (rdi) OFF; ON; ret
UNEVEN = ("4885ff 7405", OFF, ON, "c3")


def test_what_is_switched_on_always_and_off_at_times() -> None:
    assert ways(*UNEVEN).uneven
    assert not ways(*BOTH_OR_NONE).uneven
    assert not ways(*FAILING).uneven
    assert not ways(ON, "c3").uneven


def test_what_was_decided_once_stays_so() -> None:
    found = ways(*BOTH_OR_NONE)
    assert found.off == ()
    assert found.untouched
    assert ways(*ASKED_AGAIN).leaks


@pytest.mark.parametrize(
    ("code", "effect"),
    [
        (("53", OFF, "5b c3"), Switch.OFF),
        (("jmp mutex_unlock",), Switch.ON),
        # if (rdi) OFF; ret
        (("4885ff 7405", OFF, "c3"), Switch.OFF),
        # if (rdi) OFF; else ON; ret
        (("4885ff 7406", OFF, "c3", ON, "c3"), None),
        (("c3",), None),
    ],
)
def test_what_a_call_of_it_does(code: tuple[str, ...], effect: Switch | None) -> None:
    assert ways(*code).effect is effect
    assert ways(*code).leaks == ()


def test_the_part_that_lies_elsewhere_is_followed() -> None:
    cold = START + 0x800
    # OFF; test eax,eax; jne cold; ON; ret    cold: ret
    code = assemble(OFF, "85c0 0f85f3070000", ON, "c3")
    part = (cold, bytes.fromhex("c3"))
    made = Function(code, START, NAMES.get, part_at=lambda at: part if at == cold else None)
    found = ways_out(made, does)
    assert found is not None
    assert [one.returns for one in found.leaks] == [cold]


def test_what_is_switched_off_by_a_count() -> None:
    # push rbx; mov rbx,rdi; lock inc [rbx+0x10]; if (helper()) goto 1; lock dec [rbx+0x10]; 1: ret
    code = ("53 4889fb f0ff4310", "call helper", "85c0 7504 f0ff4b10", "5b c3")

    def touches(row: Instruction, place: Expression) -> Switch | None:
        counts = {"inc": Switch.OFF, "dec": Switch.ON}
        return counts.get(row.mnemonic) if place.offset == 0x10 else None

    found = ways_out(function(*code), does, touches)
    assert found is not None
    assert [left.off - START for left in found.leaks] == [4]
    assert ways_out(function(*code), does) == Ways((), back=False, on=False, untouched=True)
    # The same of a number that is odd while it is off.
    found = ways_out(function(*code), does, lambda *_: Switch.TURN)
    assert found is not None
    assert [left.off - START for left in found.leaks] == [4]
