"""Whether what a function stores beside a field is there."""

from __future__ import annotations

import pytest
from handmade_fields import use

from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.traces_beside import belied, counted, stores

FIELD = 0xFFFF888003400020
CLEAR = "mov qword ptr [rdi + 0x20], 0"
STOPS = use(CLEAR, "mov byte ptr [rdi + 0x10], 0")


def asked(found: FieldUse, state: bytes | None, moved: frozenset[int] = frozenset()) -> bool:
    def read(at: int, size: int) -> bytes | None:
        assert (at, size) == (FIELD - 0x10, 1)
        return state

    ends = [end for end, (key, _) in zip(found.stored_at, found.written, strict=True)
            if key == 0x20]  # fmt: skip
    return belied(read, found, stores(found, ends), FIELD, set(moved))


@pytest.mark.parametrize(("state", "said"), [(b"\0", False), (b"\1", True), (None, False)])
def test_the_state_that_is_there(state: bytes | None, said: bool) -> None:
    assert asked(STOPS, state) is said


def test_what_tells_nothing() -> None:
    assert not asked(use(CLEAR), None)
    # Somebody counts there.
    assert counted({"rec_irq": use("inc byte ptr [rdi + 0x10]")}) == {0x10}
    assert not asked(STOPS, b"\1", frozenset([0x10]))
    # In another place it clears the field and nothing more.
    both = use(CLEAR, "mov byte ptr [rdi + 0x10], 0", "call 0x9000", "mov rdi, rbx", CLEAR)
    assert not asked(both, b"\1")
