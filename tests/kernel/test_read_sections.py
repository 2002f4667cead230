"""What a function goes on with after a read section of RCU, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_code import ADDRESSES, NAMES, function

from oopsight.kernel.read_sections import kept_after

LOCK, UNLOCK = "call __rcu_read_lock", "call __rcu_read_unlock"
# push rbx; mov rbx,rdi
BEGIN = "53 4889fb"
USE = ("call mutex_lock", "5b c3")


def used(*code: str, counts: bool = False) -> frozenset[str]:
    """What of that is in registers as mutex_lock() is called."""
    made = function(*code)
    kept = kept_after(made, NAMES.get, lambda _: counts)
    target = f"{ADDRESSES['mutex_lock']:#x}"
    (at,) = [row.address for row in made.code.values() if row.text == target]
    return kept.get(at, frozenset())


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        # mov rbx,[rbx]; unlock; mov rdi,rbx; call
        ((BEGIN, LOCK, "488b1b", UNLOCK, "4889df"), True),
        # lea rdi,[rbx+0x20]
        ((BEGIN, LOCK, "488b1b", UNLOCK, "488d7b20"), True),
        # Within the section.
        ((BEGIN, LOCK, "488b1b", "4889df"), False),
        # Read before it, or after it.
        ((BEGIN, "488b1b", LOCK, UNLOCK, "4889df"), False),
        ((BEGIN, LOCK, UNLOCK, "488b1b", "4889df"), False),
        # A number.
        ((BEGIN, LOCK, "8b1b", UNLOCK, "4889df"), False),
        # lock xadd [rbx+0x38],eax: a reference
        ((BEGIN, LOCK, "488b1b f00fc14338", UNLOCK, "4889df"), False),
        # Kept on the stack: mov rax,[rbx]; mov [rsp],rax; unlock; mov rdi,[rsp]
        (("53 4889fb 4883ec10", LOCK, "488b03 48890424", UNLOCK, "488b3c24"), True),
        # Along a chain: again: mov rbx,[rbx+0x10]; cmp [rbx],edx; jne again
        ((BEGIN, LOCK, "488b5b10 3913 75f8", UNLOCK, "4889df"), True),
    ],
)
def test_what_is_used_after_the_section(code: tuple[str, ...], *, kept: bool) -> None:
    assert ("rdi" in used(*code, *USE)) is kept


def test_what_another_function_has_found() -> None:
    names = dict(NAMES)
    names[ADDRESSES["helper"]] = "item_find"
    # lock; rax = item_find(rdi); rbx = rax; unlock; mov rdi,rbx
    made = function(BEGIN, LOCK, "call helper", "4889c3", UNLOCK, "4889df c3")
    end = max(made.code)
    assert "rdi" in kept_after(made, names.get, lambda _: False)[end]
    # It has taken a reference, by its code or by its name.
    assert end not in kept_after(made, names.get, lambda _: True)
    names[ADDRESSES["helper"]] = "item_find_get"
    assert end not in kept_after(made, names.get, lambda _: False)
