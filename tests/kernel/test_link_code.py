"""Entries that a function links in, in code as compilers make it."""

from __future__ import annotations

import pytest
from handmade_code import NAMES, function

from oopsight.kernel.link_code import Entry, linked, unlinks_argument
from oopsight.kernel.loops import Link

CHAIN = Link("rbx", 0, 0)
# rax = *head (rsi); entry->pprev = head; entry->next = rax; *head = entry; rax->pprev = entry
ADD = "488b06 48897308 488903 48891e 48895808"
# rax = entry->next; rdx = entry->pprev; *rdx = rax; rax->pprev = rdx
DELETE = "488b03 488b5308 488902 48895008"
FOUND = "488b5a20"  # mov rbx, [rdx + 0x20]
GIVEN = "4889fb"  # mov rbx, rdi


def found(*code: str) -> tuple[Entry, ...]:
    return linked(function(*code, "c3"), CHAIN, NAMES.get)


def test_where_the_entry_came_from() -> None:
    assert found(FOUND, ADD) == (Entry(None, argument=False, unlinked=False, passed_to=()),)
    assert found(GIVEN, ADD) == (Entry(None, argument=True, unlinked=False, passed_to=()),)
    (made,) = found("call kmalloc_trace", "4889c3", ADD)
    assert made.made_by == "kmalloc_trace"


def test_whether_it_was_taken_out_before() -> None:
    (moved,) = found(FOUND, DELETE, ADD)
    assert moved.unlinked
    (passed,) = found(FOUND, "4889df", "call helper", ADD)
    assert passed.passed_to == ("helper",)


@pytest.mark.parametrize("code", [(FOUND, DELETE), (FOUND, "48897308 488903")])
def test_what_links_nothing_in(code: tuple[str, ...]) -> None:
    assert found(*code) == ()


def test_the_link_is_told_by_its_place_in_the_object() -> None:
    # lea rcx, [rbx + 0x10]; mov rax, [rsi]; mov [rbx + 0x10], rax; mov [rsi], rcx
    code = function(FOUND, "488d4b10 488b06 48894310 48890e c3")
    assert linked(code, Link("rbx", 0x10, 0), NAMES.get)
    assert linked(code, Link("rcx", 0, 0), NAMES.get)
    assert not linked(code, Link("rbx", 0x20, 0), NAMES.get)
    assert not linked(code, Link("rbx", 0x10, 8), NAMES.get)


def test_who_takes_out_what_it_is_given() -> None:
    # rdx = rdi->next; rcx = rdi->pprev; *rcx = rdx
    assert unlinks_argument(function("488b17 488b4f08 488911 c3"), NAMES.get)
    assert not unlinks_argument(function(FOUND, DELETE, "c3"), NAMES.get)
