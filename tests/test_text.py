"""Strings of a dump end, whatever lies in it."""

from __future__ import annotations

import drgn
import pytest
from handmade_memory import BASE, Kernel, char_array

from oopsight.text import c_string


def pointer(kernel: Kernel) -> drgn.Object:
    char = kernel.prog.int_type("char", 1, True)
    return drgn.Object(kernel.prog, kernel.prog.pointer_type(char), BASE)


def test_a_pointer_is_followed_to_the_zero() -> None:
    kernel = Kernel()
    kernel.text(BASE, b"kmalloc-32")
    assert c_string(pointer(kernel)) == b"kmalloc-32"


def test_a_text_without_a_zero_ends_after_a_page() -> None:
    kernel = Kernel()
    kernel.text(BASE, b"A" * 8191)
    char = kernel.prog.int_type("char", 1, True)
    endless = drgn.Object(kernel.prog, kernel.prog.array_type(char), address=BASE)
    assert c_string(pointer(kernel)) == c_string(endless) == b"A" * 4096


def test_an_array_is_read_as_far_as_its_type_goes() -> None:
    assert c_string(char_array(b"kworker/0:1")) == b"kworker/0:1"
    kernel = Kernel()
    kernel.text(BASE, b"A" * 100)
    char = kernel.prog.int_type("char", 1, True)
    assert c_string(drgn.Object(kernel.prog, kernel.prog.array_type(char, 16), address=BASE)) == (
        b"A" * 16
    )


def test_a_text_that_is_not_in_the_dump_says_so() -> None:
    kernel = Kernel()
    char = kernel.prog.int_type("char", 1, True)
    absent = drgn.Object(kernel.prog, kernel.prog.pointer_type(char), 0xFFFF111100000000)
    with pytest.raises(drgn.FaultError):
        c_string(absent)
