"""Ways through a function that leave out what its other ways do."""

from __future__ import annotations

import pytest
from handmade_code import START, function

from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import Expression
from oopsight.kernel.omissions import Mark, Omission, omission

# if (error) { object->errors++; object->result = -5; return; } object->result = 0; complete()
HANDLER = (
    "53 4889fb 85f6 740e 83432801 c7432cfbffffff eb10 c7432c00000000 488d7b30",
    "call complete",
    "5b c3",
)


def left_out(function_: Function, *, aside: bool = False) -> Omission | None:
    sites = [at for at, row in function_.code.items() if row.text.startswith("0xffffffffc00018")]
    return omission(function_, sites, lambda _: aside)


def test_what_only_such_a_way_stores() -> None:
    found = left_out(function(*HANDLER))
    assert found is not None
    assert found.acts
    assert found.marks == (
        Mark(Expression("rdi", 0x28), 4, None),
        Mark(Expression("rdi", 0x2C), 4, 0xFFFFFFFB),
    )


@pytest.mark.parametrize(
    ("code", "acts"),
    [
        (("4883ec08", "call complete", "4883c408 c3"), None),  # there is but one way
        (("85f6 7405", "jmp complete", "c3"), False),  # it does nothing
        (("83472801 85f6 7405", "jmp complete", "c3"), False),  # on either way
        (("85f6 7405", "jmp complete", "89742408 c3"), False),  # on its own stack
        (("85f6 7405", "jmp complete", "897728 c3"), True),
    ],
)
def test_whether_it_acts(code: tuple[str, ...], acts: bool | None) -> None:
    found = left_out(function(*code))
    assert (found.acts if found is not None else None) is acts


def test_a_part_that_lies_elsewhere_is_no_way_out() -> None:
    code = function("85f6 7405", "jmp complete", "jmp helper")
    found = left_out(code)
    assert found is not None
    assert found.returns == START + 9
    assert left_out(code, aside=True) is None
