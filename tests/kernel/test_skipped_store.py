"""On which ways a function returns with success and leaves a field unset."""

from __future__ import annotations

from handmade_code import NAMES, START, function

from oopsight.kernel.skipped_store import (
    ALLOCATES,
    FAILS,
    FREES,
    RETURNS,
    STORES,
    hollow,
    left_out,
    silent,
    skipped,
    unfinished,
)

DOES = {
    "kmalloc_trace": ALLOCATES,
    "kfree_skb": FREES,
    "mutex_lock": STORES,
    "complete": FAILS,
    "up": RETURNS,
}


def does(target: int | None, _: str) -> str | None:
    return DOES.get(NAMES.get(target or 0, ""))


def of(*parts: str) -> tuple[int, ...]:
    """For the field at offset 0x20."""
    return skipped(function(*parts), 0x20, does)


# rbp = rdi; rbx = kmalloc(); if it is NULL, go to the end with rax
MAKES = ("53 55 4889fd", "call kmalloc_trace", "4889c3 4885c0")
STORE = "48895d20 31c0 5d 5b c3"  # [rbp + 0x20] = rbx; return 0
FAIL = "b8f4ffffff 5d 5b c3"  # return -ENOMEM


def test_success_without_the_store() -> None:
    # if (!it) fail; if (rsi) return 0; store
    way = of(*MAKES, "7413 4885f6 7405 31c0 5d 5b c3", STORE, FAIL)
    assert way == (START + 27,)
    # A field of another offset is set on no way.
    other = STORE.replace("5d20", "5d28")
    assert of(*MAKES, "7413 4885f6 7405 31c0 5d 5b c3", other, FAIL) == ()


def test_a_way_that_fails_is_none() -> None:
    assert of(*MAKES, "7413 4885f6 7408", FAIL, STORE, FAIL) == ()
    # What helper() returned is an error where it is not zero.
    failing = ("740f", "call helper", "85c0 7509 48895d20 31c0 5d 5b c3 5d 5b c3")
    assert of(*MAKES, *failing) == ()
    # Where it is zero, or not looked at, the function has succeeded.
    assert of(*MAKES, "740f", "call helper", "85c0 7409 48895d20 31c0 5d 5b c3 5d 5b c3")
    assert of(*MAKES, "740b 4885f6 7509 48895d20 31c0 5d 5b c3", "call helper", "5d 5b c3")


def test_a_jump_to_another_function_for_a_return() -> None:
    def leaving(target: str) -> tuple[int, ...]:
        # if (rsi) { rdi = rbx; return target(rdi); }
        jump = ("4889df 5d 5b", f"jmp {target}")
        return of(*MAKES, "4885f6 7409 48895d20 31c0 5d 5b c3", *jump)

    assert leaving("helper")
    assert leaving("kfree_skb") == leaving("complete") == leaving("mutex_lock") == ()


def test_what_was_given_back_was_not_to_be_stored() -> None:
    freed = ("4885f6 740f 4889df", "call kfree_skb", "31c0 5d 5b c3 9090")
    assert of(*MAKES, *freed, STORE) == ()


def test_who_has_nothing_to_store_skips_nothing() -> None:
    # if (rsi) return 0; before anything was allocated
    early = ("4885f6 7403 31c0 c3", *MAKES, "7409", STORE, FAIL)
    assert of(*early) == ()
    # What it stores is its argument.
    assert of("4885f6 7403 31c0 c3 48897720 31c0 c3") == ()


def test_a_new_object_whose_field_is_left_alone() -> None:
    # it = kmalloc(); if (!it) return NULL; if (rsi) [it + 0x20] = rsi; return it
    way = of("53", "call kmalloc_trace", "4885c0 7409 4885f6 7404 48897020 90 5b c3")
    assert len(way) == 1


def test_a_part_of_a_new_object_that_is_left_out_on_some_ways() -> None:
    def parts(*more: str) -> tuple[int, ...]:
        # rbx = kmalloc(); if it is NULL, fail; if (rsi) MORE; return 0
        code = ("53 55 4889fd", "call kmalloc_trace", "4889c3 4885c0 741a", *more)
        return left_out(function(*code, "31c0 5d 5b c3", FAIL), 0x20, 40, does)

    first, other = "488d7b20", "488d7b60"  # lea rdi, [rbx + 0x20], + 0x60
    assert parts("4885f6 7409", first, "call mutex_lock", "9090909090")
    assert parts(other, "call mutex_lock", "90909090909090909090")
    assert not parts(first, "call mutex_lock", "90909090909090909090")
    # By a store to it.
    assert not parts("48896b28 9090909090909090909090909090")


def given(*parts: str) -> tuple[int, ...]:
    """For a member at 0x40 of what was given, of which what lies at 0x50 must be stored to."""
    return unfinished(function(*parts), {0x40}, 0x10, does)


SET_UP = ("488d7f40", "call mutex_lock", "31c0 c3")  # lea rdi, [rdi + 0x40]; return 0


def test_a_member_of_what_was_given_is_not_set_up_on_some_way() -> None:
    # if (rsi) return -ENOMEM; then the member is set up
    assert given("4885f6 7406 b8f4ffffff c3", *SET_UP)
    assert given(*SET_UP) == ()
    assert given("4885f6 7406 b8f4ffffff c3 488d7f40", "jmp mutex_lock")
    # By a store of its own; of another member nothing is wanted.
    assert given("4885f6 7406 b8f4ffffff c3 48897750 31c0 c3")
    assert given("4885f6 7406 b8f4ffffff c3 48897760 31c0 c3") == ()


def quiet(*parts: str) -> tuple[int, ...]:
    return silent(function(*parts), 0x20, does)


PUT = "48897720 31c0 c3"  # [rdi + 0x20] = rsi; return 0


def test_success_is_told_without_the_pointer_that_others_ways_put_there() -> None:
    refuse = "4885d2 7406 b8f4ffffff c3"  # if (rdx) return -ENOMEM
    leave = "4885f6 7503 31c0 c3"  # if (!rsi) return 0
    assert len(quiet(refuse, leave, PUT)) == 1
    # It never tells of a failure.
    assert quiet(leave, PUT) == ()
    # It does something else instead: [rdi + 0x28] = edx
    assert quiet(refuse, "4885f6 7506 895728 31c0 c3", PUT) == ()


def test_the_error_of_no_error_is_success() -> None:
    # rbx = rdi; p = helper(); if (!p || IS_ERR(p)) return PTR_ERR(p)
    looks = ("53 4889fb", "call helper", "4885c0 740e 483d00f0ffff 7706")
    assert quiet(*looks, "48894320 31c0 5b c3")
    # It returns the pointer: NULL is no success.
    assert quiet(*looks, "48894320 9090 5b c3") == ()


def test_a_number_is_left_as_it_was_on_some_way() -> None:
    def left(*parts: str) -> tuple[int, ...]:
        return silent(function(*parts), 0x24, does, number=True)

    cold = "837f3014 7703 31c0 c3"  # if (dword [rdi + 0x30] <= 20) return 0
    put = "c7472400000000 31c0 c3"  # dword [rdi + 0x24] = 0; return 0
    assert len(left(cold, put)) == 1
    assert len(left(cold, "48897720 31c0 c3")) == 1  # eight bytes are two numbers
    assert left("837f3014 7706 b8f4ffffff c3", put) == ()  # it fails
    assert left(put) == ()


def empty(*parts: str) -> tuple[int, ...]:
    return hollow(function("53 4889fb", *parts), 0x20, does)


def test_success_is_told_although_what_was_stored_is_null() -> None:
    # [rbx + 0x20] = helper(); if it is NULL, the one, else return 1
    def stores(*when_null: str) -> tuple[int, ...]:
        code = ("call helper", "48894320 4885c0 7407 b801000000 5b c3")
        return empty(*code, *when_null)

    assert stores("31c0 5b c3")
    assert stores("b8f4ffffff 5b c3") == ()
    # It has given up, and frees what it has made.
    assert stores("4889df", "call kfree_skb", "31c0 5b c3") == ()
