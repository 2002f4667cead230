"""Which locks the code of a function holds, and where."""

from __future__ import annotations

import pytest
from handmade_code import NAMES, START, assemble, function

from oopsight.kernel.code_locks import Function
from oopsight.kernel.held_locks import Held
from oopsight.kernel.lock_functions import PACKET
from oopsight.kernel.machine_code import Expression

# int license_return(struct license_pool *pool, unsigned int count)
LEAKING = (
    "0f1f440000 4154 4c8d6708 55 89f5 53 4889fb 4c89e7",  # lea r12, [rdi + 8]; mov rdi, r12
    "call mutex_lock",  # at 0x15
    "8b03 39e8 7217",  # jb 0x37
    "29e8 4c89e7 8903",
    "call mutex_unlock",
    "31c0 5b 5d 415c c3",
    "cccccccc",
    "b8eaffffff ebf0",  # mov eax, -22; jmp to the pops
)


def test_a_path_that_returns_with_the_lock_is_found() -> None:
    found = function(*LEAKING)
    assert found.followed
    (leak,) = found.leaks
    assert (leak.held.kind, str(leak.held.lock)) == ("mutex", "rdi+0x8")
    assert leak.held.site == START + 0x15
    assert leak.returns == START + 0x32


def test_a_lock_in_what_current_or_a_call_leads_to_has_a_place() -> None:
    # rbx = current->mm; down_read(&mm->mmap_lock); if (!esi) return; up_read(&mm->mmap_lock)
    tail = ("85f6 740e", "488d7b70", "call up_read", "90", "90909090", "5b c3")
    entered = ("53 65488b0425 80fb0100 488b98e0080000", "488d7b70", "call down_read", *tail)
    (leak,) = function(*entered).leaks
    assert (leak.held.kind, leak.held.by) == ("rwsem", "down_read")
    assert str(leak.held.lock) == "[[gs+0x1fb80]+0x8e0]+0x70"
    assert leak.held.offset == 0x70
    # The same of what a function returned.
    got = function("53", "call helper", "4889c3", "488d7b70", "call down_read", *tail)
    assert got.leaks[0].held.offset == 0x70


def test_a_function_that_always_keeps_its_lock_means_to() -> None:
    assert not function("53 4889fb", "call mutex_lock", "5b c3").leaks


def test_what_is_given_back_without_having_been_taken_is_told() -> None:
    put = function("4883c708", "call mutex_unlock", "c3")  # add rdi, 8
    assert {(kind, str(lock)) for kind, lock in put.given} == {("mutex", "rdi+0x8")}
    assert not function(*LEAKING).given


def test_what_one_function_keeps_another_gives_back_on_some_ways_only() -> None:
    # void *start(m): mutex_lock(&fixed)
    start = function("48c7c700500000", "call mutex_lock", "31c0 c3")
    (kept,) = start.kept
    assert str(kept.lock) == "0x5000"
    # void stop(m, v): if (!IS_ERR(v)) mutex_unlock(&fixed)
    stop = function("4881fe00f0ffff 770d", "48c7c700500000", "call mutex_unlock", "90 c3")
    (leak,) = stop.entered_with(kept)
    assert leak.returns == START + 0x16
    # One that always gives it back, and one of another lock.
    assert not function("48c7c700500000", "call mutex_unlock", "c3").entered_with(kept)
    assert not function(
        "4881fe00f0ffff 770d", "48c7c700600000", "call mutex_unlock", "90 c3"
    ).entered_with(kept)


def test_who_gives_a_lock_back_and_on_some_ways_does_not() -> None:
    # long begin(batch): if (batch->open) return; mutex_lock(&fixed); batch->open = 1
    begin = function("803f00 7514 53 4889fb 48c7c700500000", "call mutex_lock", "c60301 5b c3")
    (taken,) = begin.taken
    assert not begin.kept
    given = Held("mutex", Expression("", 0x5000), taken.site, taken.by)
    # long abort(batch): if (!batch->open) return; batch->open = 0; if (batch->length) unlock
    guard = "803f00 7416 c60700 837f0400 740d"
    abort = function(guard, "48c7c700500000", "call mutex_unlock", "90 31c0 c3")
    assert {(kind, str(lock)) for kind, lock in abort.given} == {("mutex", "0x5000")}
    (leak,) = abort.omits(given)
    assert leak.acts
    # With the guard alone nothing has been done yet.
    (leak,) = function("803f00 740d", "48c7c700500000", "call mutex_unlock", "90 31c0 c3").omits(
        given
    )
    assert not leak.acts
    # One that waits with the lock given back for so long.
    waits = ("803f00 741b", "48c7c700500000", "call mutex_unlock")
    retakes = ("48c7c700500000", "call mutex_lock", "909090 31c0 c3")
    assert not function(*waits, *retakes).omits(given)


def test_a_handler_that_frees_the_packet_on_some_ways_only() -> None:
    given = Held(PACKET, Expression("rdi", 0), START, "rcv")
    # mov rbx,rdi; test esi,esi; je 1f; mov rdi,rbx; call kfree_skb; 1: xor eax,eax; pop rbx; ret
    keeps = function("53 4889fb 85f6 7408 4889df", "call kfree_skb", "31c0 5b c3")
    (leak,) = keeps.entered_with(given)
    assert leak.returns == START + 0x13
    frees = function("53 4889fb 85f6 7402 31c0 4889df", "call kfree_skb", "31c0 5b c3")
    assert not frees.entered_with(given)


# policy_flush() holds rdi + 8 while it calls helper() in a loop.
LOOP = (
    "4156 4155 4c8d6f08 4154 4989fc 4c89ef 55",
    "call _raw_spin_lock",  # at 0x11
    "4c89e7",  # 0x16
    "call helper",  # returns to 0x1e
    "85c0 75f4",  # jne 0x16
    "4c89ef",
    "call _raw_spin_unlock",
    "5d 415c 415d 415e c3",
)
IN_CALL = START + 0x1E


def test_a_lock_is_held_across_a_call_and_has_an_address() -> None:
    place = function(*LOOP).at(IN_CALL, calling=True)
    assert place is not None
    (held,) = place.held
    assert held.by == "_raw_spin_lock"
    values = {"r12": 0xFFFF888000001000}
    assert place.address(held, values.get) == 0xFFFF888000001008
    assert place.address(held, {}.get) is None


def test_before_and_after_the_critical_section_nothing_is_held() -> None:
    code = function(*LOOP)
    for offset in (0, 0x11, len(assemble(*LOOP)) - 1):
        place = code.at(START + offset, calling=False)
        assert place is not None
        assert place.held == ()


def test_a_lock_about_to_be_taken_is_wanted_not_held() -> None:
    code = function(*LOOP)
    place = code.at(START + 0x16, calling=True)
    assert place is not None
    assert place.held == ()
    assert place.wanted is not None
    assert str(place.wanted.lock) == "rdi+0x8"
    # The same address, not in a call but interrupted there: the call has returned.
    interrupted = code.at(START + 0x16, calling=False)
    assert interrupted is not None
    assert len(interrupted.held) == 1


def test_saved_registers_are_found_on_the_stack() -> None:
    place = function(*LOOP).at(IN_CALL, calling=True)
    assert place is not None
    # Pushed in this order below the return address: r14, r13, r12, rbp; two are unchanged.
    assert [place.saved(r) for r in ("r14", "r13", "r12", "rbp")] == [0, -24, -32, 0]


@pytest.mark.parametrize(
    ("taking", "jump", "held_on_fall_through"),
    [
        ("down_interruptible", "75", True),  # jne: not zero means not taken
        ("down_interruptible", "74", False),
        ("mutex_trylock", "74", True),  # je: zero means not taken
        ("mutex_trylock", "75", False),
    ],
)
def test_the_result_decides_whether_a_lock_was_taken(
    taking: str, jump: str, held_on_fall_through: bool
) -> None:
    code = function("53 4889fb", f"call {taking}", f"85c0 {jump}02", "9090", "5b c3")
    place = code.at(START + 0xD, calling=False)
    assert place is not None
    assert bool(place.held) is held_on_fall_through


def test_a_tail_call_that_unlocks_releases() -> None:
    code = function("53 4889fb", "call mutex_lock", "4889df 5b", "jmp mutex_unlock")
    assert code.followed
    assert not code.leaks


def test_a_global_lock_is_a_constant() -> None:
    # mov rdi, 0xffffffffc0002000
    code = function("48c7c7002000c0", "call mutex_lock", "90 c3")
    place = code.at(START + 12, calling=False)
    assert place is not None
    (held,) = place.held
    assert place.address(held, {}.get) == 0xFFFFFFFFC0002000


def test_code_that_cannot_be_followed_is_told() -> None:
    assert not function("ffe0").followed  # jmp rax
    assert not function("").followed
    assert function("").at(START, calling=False) is None


def bit_lock(mode: str, given: int = 3) -> tuple[str, ...]:
    """fcal_begin(): takes the bit, and returns early with it where channel (ebp) is too large."""
    return (
        f"55 89f5 53 4889fb {mode} be03000000",  # mov esi, 3
        "call out_of_line_wait_on_bit_lock",
        "83fd40 770f",  # cmp ebp, 0x40; ja to the pops
        f"4889df be0{given}000000",
        "call wake_up_bit",
        "9090",
        "5b 5d c3",
    )


def test_a_bit_that_is_always_taken_can_be_left_set() -> None:
    (leak,) = function(*bit_lock("b902000000")).leaks  # mov ecx, TASK_UNINTERRUPTIBLE
    assert (leak.held.kind, str(leak.held.lock)) == ("bit 3", "rdi")
    # Another bit of the word is another lock: this one is never given back, on purpose.
    assert not function(*bit_lock("b902000000", given=5)).leaks


def test_a_bit_whose_wait_may_be_broken_off_is_not_taken_unasked() -> None:
    assert not function(*bit_lock("b901000000")).leaks  # TASK_INTERRUPTIBLE


def test_the_one_lock_of_its_name_is_known_by_its_variable() -> None:
    code = (
        "53 89fb",
        "call rtnl_lock",
        "81fb00100000 7707",  # cmp ebx, 4096; ja to the pops
        "call rtnl_unlock",
        "9090 5b c3",
    )
    found = Function(assemble(*code), START, NAMES.get, None, {"rtnl_mutex": 0x1000}.get)
    (leak,) = found.leaks
    assert (leak.held.kind, leak.held.lock) == ("mutex", Expression("", 0x1000))


def test_a_read_section_of_rcu_has_no_address() -> None:
    code = function("53", "call __rcu_read_lock", "call helper", "call __rcu_read_unlock", "5b c3")
    place = code.at(START + 0xB, calling=True)
    assert place is not None
    (held,) = place.held
    assert (held.kind, held.lock) == ("rcu", None)
    after = code.at(START + 0x10, calling=False)
    assert after is not None
    assert after.held == ()


TO_A, TO_B = "488d7d40", "488d7b40"  # lea rdi, [rbp + 0x40]; …, [rbx + 0x40]
LOADED = "488b7d00"  # mov rdi, [rbp]
LOCK, UNLOCK = "call _raw_spin_lock", "call _raw_spin_unlock"


def pair(*otherwise: str) -> Function:
    """Takes the locks of two objects, and gives both back, or otherwise."""
    return function(
        *("55 53 4889fd 4889f3", TO_A, LOCK, TO_B, LOCK, "85d2 7515"),
        *(TO_A, UNLOCK, TO_B, UNLOCK, "5b 5d c3"),
        *(*otherwise, "5b 5d c3"),
    )


def test_who_gives_one_of_two_locks_back_twice_keeps_the_other() -> None:
    (leak,) = pair(TO_A, UNLOCK, TO_A, UNLOCK).leaks
    assert str(leak.held.lock) == "rsi+0x40"
    assert leak.again == START + 0x40
    # It need not be known which is which.
    either = ("55 53 4889fd 4889f3", "4889c7", LOCK, "4889c7", LOCK, "85d2 7515")
    both = (TO_A, UNLOCK, TO_B, UNLOCK, "5b 5d c3")
    (leak,) = function(*either, *both, TO_A, UNLOCK, TO_A, UNLOCK, "5b 5d c3").leaks
    assert leak.held.lock is None


@pytest.mark.parametrize(
    "otherwise",
    [
        (TO_B, UNLOCK, TO_A, UNLOCK),
        (TO_A, UNLOCK, TO_A, LOCK, TO_A, UNLOCK, TO_B, UNLOCK),  # taken again
        (LOADED, UNLOCK, LOADED, UNLOCK),  # what is in memory may have changed
        (TO_B, UNLOCK, TO_A, UNLOCK, TO_A, UNLOCK),  # nothing is left to keep
    ],
)
def test_two_locks_that_are_given_back(otherwise: tuple[str, ...]) -> None:
    assert not pair(*otherwise).leaks


def test_behind_what_does_not_return_the_function_does_not_go_on() -> None:
    # mutex_lock(); if (esi) return; mutex_unlock(); return; __stack_chk_fail()
    checked = ("53 4889fb", "call mutex_lock", "85f6 7508 4889df", "call mutex_unlock", "5b c3")
    found = function(*checked, "call __stack_chk_fail")
    assert found.followed
    assert [leak.returns for leak in found.leaks] == [START + 0x16]


def test_the_part_that_lies_elsewhere_belongs_to_it() -> None:
    # mutex_lock(); if (esi) goto cold; mutex_unlock(); pop; ret. cold: helper(); jump to the pop
    hot = assemble("53 4889fb", "call mutex_lock", "85f6 0f85", "efff0000", "4889df",
                   "call mutex_unlock", "5b c3")  # fmt: skip
    away = START + 0x11 + 0xFFEF
    back = (START + 0x19 - (away + 5)) & 0xFFFFFFFF
    cold = bytes.fromhex("e9") + back.to_bytes(4, "little")
    parts = {away: (away, cold)}
    whole = Function(hot, START, NAMES.get, part_at=parts.get)
    assert whole.followed
    assert [leak.returns for leak in whole.leaks] == [START + 0x1A]
    assert not Function(hot, START, NAMES.get).followed


def test_bottom_halves_that_are_left_off() -> None:
    # add gs:[0x100], 0x200; if (esi) return; __local_bh_enable_ip(); return
    off = "65810425000100000002 0000".replace(" ", "")
    code = assemble(off, "85f6 7406", "call __local_bh_enable_ip", "90 c3")
    found = Function(code, START, NAMES.get, preempt_count=0x100)
    (leak,) = found.leaks
    assert (leak.held.kind, leak.held.by) == ("bottom halves", "local_bh_disable")


def test_a_lock_that_comes_with_the_last_reference() -> None:
    # mov rbx,rsi; if (!refcount_dec_and_mutex_lock(count, lock)) return; if (failed) return; unlock
    known = {**NAMES, START + 0x1400: "refcount_dec_and_mutex_lock"}
    code = assemble(
        "53 55 4889f3", "call helper", "84c0 740c 85ed 7508 4889df", "call mutex_unlock", "5d 5b c3"
    )
    (leak,) = Function(code, START, known.get).leaks
    assert (leak.held.kind, leak.held.lock) == ("mutex", Expression("rsi", 0))
