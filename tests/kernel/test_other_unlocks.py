"""Ways that give back another lock than the one which was taken."""

from __future__ import annotations

import pytest
from handmade_code import NAMES, START, function

from oopsight.kernel.other_unlocks import others_unlocked

# It takes the lock that it is handed, which rbx has then.
TAKE = ("53 4889fb", "call mutex_lock")
# rax = [rbx + 0x30]; if (rax) rbx = rax
MOVE = ("488b4330 4885c0 7403 4889c3",)
# rax = [rbx + 0x30]; if (rax) { mutex_unlock(rbx); rdi = rbx = [rbx + 0x30]; …
LET_GO = ("488b4330 4885c0 7414 4889df", "call mutex_unlock", "488b5b30 4889df")
GIVE = ("4889df", "call mutex_unlock", "5b c3")


def test_one_that_was_moved_on_to_is_unlocked() -> None:
    found = others_unlocked(function(*TAKE, *MOVE, *GIVE), NAMES.get)
    assert [(one.held.site, one.again) for one in found] == [(START + 4, START + 24)]
    # Of what an index tells, which is not followed: rbx = rdi * 8.
    indexed = ("53 488d1cfd00000000 4889df", "call mutex_lock")
    assert len(others_unlocked(function(*indexed, *MOVE, *GIVE), NAMES.get)) == 1


@pytest.mark.parametrize(
    "code",
    [
        (*TAKE, *GIVE),
        # It lets go of the first before it moves on, and takes the other.
        (*TAKE, *LET_GO, "call mutex_lock", "9090", *GIVE),
        # It always moves on: which lock the other is, the code does not tell.
        (*TAKE, "488b5b30", *GIVE),
    ],
)
def test_who_gives_back_what_it_took(code: tuple[str, ...]) -> None:
    assert others_unlocked(function(*code), NAMES.get) == ()
