"""Where a walk along a list had read the pointer that it is at, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_machine import OBJECT, Machine, trace, ways

# 1: mov rax,[rbx+0x38]; lea rbx,[rax-0x38]; cmp r12,rax; je 3f; 2: movzx eax,[rbx+2];
# test al,al; jne 1b; jmp 1b; 3: ret; and before it: mov rax,[r12]; lea rbx,[rax-0x38]; jmp 2b
WITHIN = "498b0424 488d58c8 eb0d 488b4338 488d58c8 4939c4 740a 0fb64302 84c0 75ea ebe8 c3"
# 1: mov rbx,[rbx]; cmp rbx,r12; je 3f; 2: mov eax,[rbx-8]; test eax,eax; jne 1b; jmp 1b; 3: ret;
# and before it: mov rbx,[r12]; jmp 2b
OF_ENTRIES = "498b1c24 eb08 488b1b 4c39e3 7409 8b43f8 85c0 75f1 ebef c3"
HEAD, TEXT = OBJECT + 0x1000, 0x687420646E61206E
FIRST, SECOND = OBJECT + 0x238, OBJECT + 0x438


def machine(code: str) -> Machine:
    found = Machine(code)
    # The entry that the walk has come from holds a text; who leads back to the head is gone.
    found.words |= {HEAD: FIRST, HEAD + 8: SECOND, FIRST: SECOND, SECOND: TEXT, SECOND + 8: TEXT}
    return found


@pytest.mark.parametrize(
    ("code", "at", "delta", "how"),
    [(WITHIN, 0x17, 0x38, ["computed", "loaded"]), (OF_ENTRIES, 0xE, 0, ["loaded"])],
)
def test_the_entry_that_leads_to_it_is_found_from_the_head(
    code: str, at: int, delta: int, how: list[str]
) -> None:
    moves = trace(machine(code), "rbx", at, rbx=TEXT - delta, rax=TEXT, r12=HEAD)
    assert ways(moves) == how
    assert (moves[-1].address, moves[-1].found) == (SECOND, TEXT)
    assert not moves[-1].certain


def test_what_is_on_no_list_stays_open() -> None:
    elsewhere = machine(WITHIN)
    elsewhere.words[SECOND] = HEAD
    assert ways(trace(elsewhere, "rbx", 0x17, rbx=TEXT - 0x38, rax=TEXT, r12=HEAD)) == ["lost"]
