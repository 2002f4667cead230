"""On which ways a function frees, keeps or loses a pointer."""

from __future__ import annotations

from handmade_code import NAMES, START, function

from oopsight.kernel.machine_code import Expression, result_of
from oopsight.kernel.pointer_fate import FREES, KEEPS, RETURNS, USES, Fate, fate

DOES = {"kfree_skb": FREES, "helper": USES, "complete": KEEPS, "up": RETURNS}


def does(target: int | None, _: str) -> str:
    return DOES.get(NAMES.get(target or 0, ""), KEEPS)


def of_result(*parts: str) -> Fate:
    """Of what the first call returned."""
    code = function(*parts)
    site = next(at for at, one in code.code.items() if one.mnemonic == "call")
    found = fate(code, code.code[site].end, result_of(site), does)
    assert found is not None
    return found


ALLOCATE = ("53 55 4889fd", "call kmalloc_trace", "4889c3 4885c0")  # rbp = rdi; rbx = the result
# If it is zero, return; helper(it); if that is not zero, free it; if [it + 8] is zero, return;
# [rbp + 0x20] = it.
ERROR_PATH = (
    "7421 4889df",
    "call helper",
    "85c0 750d 8b4308 85c0 740e 48895d20 eb08 4889df",
    "call kfree_skb",
    "5d 5b c3",
)


def test_a_way_on_which_nobody_has_it() -> None:
    found = of_result(*ALLOCATE, *ERROR_PATH)
    assert found.lost == (START + 0x35,)
    assert (found.freed, found.kept, found.returned) == (True, True, False)
    assert found.places == {Expression("rdi", 0x20)}


def test_ways_that_meet_before_it_is_freed_keep_apart_what_they_hold() -> None:
    # if it is not zero and something else is: free it; the zero comes to the same call
    found = of_result("53", "call kmalloc_trace", "4889c3 4885c0 7407 31c0 85c0 7501 90 4889df",
                      "call kfree_skb", "5b c3")  # fmt: skip
    assert (found.lost, found.freed) == ((), True)


def test_what_is_returned_or_computed_with_is_not_lost() -> None:
    assert of_result("4883ec08", "call kmalloc_trace", "4883c408 c3").returned
    tagged = of_result("53", "call kmalloc_trace", "4883c801 4889c3 31c0 5b c3")  # or rax, 1
    assert (tagged.lost, tagged.kept) == ((), True)


def test_what_is_allocated_again_in_a_loop_is_lost() -> None:
    found = of_result("53", "call kmalloc_trace", "4889c3 4885c0 740a 4889df",
                      "call helper", "ebe9 5b c3")  # fmt: skip
    assert found.lost == (START + 1,)


def test_a_jump_to_another_function_ends_the_way() -> None:
    assert of_result("53", "call kmalloc_trace", "4889c7 5b", "jmp complete").kept
    assert of_result("53", "call kmalloc_trace", "4889c7 5b", "jmp kfree_skb").lost == ()
    lost = of_result("53", "call kmalloc_trace", "4889c7 5b", "jmp helper")
    assert lost.lost == (START + 10,)
    # One that stands for a return.
    assert of_result("53", "call kmalloc_trace", "5b", "jmp up").returned


def test_a_store_into_itself_is_none() -> None:
    found = of_result("53", "call kmalloc_trace", "48894008 31c0 5b c3")  # mov [rax + 8], rax
    assert (found.kept, len(found.lost)) == (False, 1)


def test_what_a_function_is_handed() -> None:
    code = function("8b4740 85c0 7405", "jmp kfree_skb", "c3")
    found = fate(code, START, Expression("rdi", 0), does)
    assert found is not None
    assert (found.freed, found.lost) == (True, (START + 12,))


def test_who_fills_an_array_keeps_nothing_by_that() -> None:
    # rcx = it; do { [rcx + 8] = edx; rcx += 4; } while (rcx != rdi); return it
    found = of_result("4883ec08", "call kmalloc_trace", "4889c1 895108 4883c104 4839f9 75f4 "
                      "4883c408 c3")  # fmt: skip
    assert (found.kept, found.returned, found.lost) == (False, True, ())


def test_to_take_its_count_down_is_to_give_it_back() -> None:
    # test esi,esi; je 1f; mov eax,-1; lock xadd [rdi+0x10],eax; 1: ret
    code = function("85f6 740a b8ffffffff f00fc14710 c3")
    counted = fate(code, START, Expression("rdi", 0), does, counted=True)
    assert counted is not None
    assert (counted.freed, counted.lost) == (True, (START + 14,))
    # mov eax,1: a reference is taken
    taken = function("b801000000 f00fc14710 c3")
    found = fate(taken, START, Expression("rdi", 0), does, counted=True)
    assert found is not None
    assert not found.freed
