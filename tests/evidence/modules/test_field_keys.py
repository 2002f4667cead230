"""The keys of one field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest

from oopsight.evidence.flow.ways import Way
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.field_keys import FieldKeys, Layout, field_key


def read(text: str, **changes: Any) -> Way:
    step = made.flow_step("loaded", "rec_read", 0, "rec")
    step = replace(step, instruction=replace(step.instruction, text=text))
    return made.way(step, function="rec_read", ended="loaded", **changes)


def use(*keys: int, **changes: Any) -> FieldUse:
    return FieldUse((), (), counts=False, changes=frozenset(keys), **changes)


PLAIN = read("mov rax, qword ptr [rbx + 0x988]")


def test_the_key_of_the_code_is_the_first_choice() -> None:
    keys = FieldKeys(PLAIN, {"rec_read": use(), "rec_stop": use(0x988)})
    assert keys.of(use(0x988)) == keys.of(use(8)) == 0x988
    assert field_key(PLAIN) == 0x988


@pytest.mark.parametrize(("sign", "far"), [("+", 0x33000), ("-", -0x33000)])
def test_a_per_cpu_variable_is_as_far_from_the_area_for_all(sign: str, far: int) -> None:
    way = read(f"mov rax, qword ptr gs:[rip {sign} 0x33000]")
    instruction = way.end.instruction if way.end is not None else None
    assert instruction is not None
    end = int(instruction.address) + len(instruction.bytes) // 2
    assert field_key(way) == (end + far) & (1 << 64) - 1


def test_an_area_behind_an_outer_object() -> None:
    reader = use(inner=frozenset([0x980]))
    keys = FieldKeys(PLAIN, {"rec_read": reader, "rec_drop": use(8)})
    assert keys.of(use(8)) == 8


def test_no_area_begins_with_a_lock_that_is_taken() -> None:
    reader = use(inner=frozenset([0x980]), locks=frozenset([0x980]))
    keys = FieldKeys(PLAIN, {"rec_read": reader, "rec_drop": use(8)})
    assert 8 not in keys.candidates(use(8))


def test_a_field_before_a_member_of_what_a_variable_has() -> None:
    # A callback of the third chamber was handed its timer, 0x10 in it.
    held = made.owner(0xFFFFFFFFC0300188, "module", module="rec", offset=0x188)
    way = read("mov rax, qword ptr [rdi - 8]", held_in=held)
    starts = use(8, inner=frozenset([0x10]))
    keys = FieldKeys(way, {"rec_heat": use(), "rec_start": starts, "rec_load": use(8)})
    assert keys.of(starts) == keys.of(use(8)) == 8
    # One that names another member has it as far from that.
    assert keys.of(use(8, 0x18, inner=frozenset([0x20]))) == 0x18
    # How far it is from the beginning of an object on the heap is known.
    slab = made.owner(0xFFFF888003400188, "slab", slab=made.slab_object(), offset=0x188)
    keys = FieldKeys(replace(way, held_in=slab), {"rec_heat": use(), "rec_start": starts})
    assert 8 not in keys.candidates(starts)


@pytest.mark.parametrize("key", [0x48, 0x60, 0xFFFFFFFFC0300060, 0xFFFFFFFFC0300048])
def test_a_variable_is_named_by_address_or_through_a_pointer(key: int) -> None:
    held = made.owner(0xFFFFFFFFC0300060, "module", module="rec", offset=0x60)
    way = read("mov rax, qword ptr [rdi + 0x48]", held_in=held)
    assert FieldKeys(way, {"rec_stop": use(key)}).of(use(key)) == key
    assert field_key(way) == 0xFFFFFFFFC0300060


def test_a_field_is_as_far_from_the_lock_for_all() -> None:
    # The timer of an object, and the device that it belongs to.
    way = read("mov eax, dword ptr [rdi - 8]")
    reader, other = use(locks=frozenset([0x28])), use(0x9C8, locks=frozenset([0x9F8]))
    keys = FieldKeys(way, {"rec_read": reader, "rec_store": other})
    assert keys.of(other) == 0x9C8
    assert keys.of(use(0x9C8)) != 0x9C8


def test_what_was_not_read_from_a_field_has_no_key() -> None:
    way = made.way(made.flow_step("returned", "rec_read"), ended="returned")
    assert FieldKeys(way, {}).of(use(8)) is None


def test_where_locks_are_elsewhere_so_is_the_field() -> None:
    way = read("mov eax, dword ptr [rbp + 0x88]")
    reader = use(locks=frozenset([0x60]))
    work = use(0x80, 0x88, locks=frozenset([0x58]))
    assert FieldKeys(way, {"rec_read": reader}).of(work) == 0x80
    same = use(0x80, 0x88, locks=frozenset([0x60]))
    assert FieldKeys(way, {"rec_read": reader}).of(same) == 0x88


def test_who_compares_the_field_with_null() -> None:
    held = made.owner(0xFFFFFFFFC0300060, "module", module="rec", offset=0x60)
    keys = FieldKeys(read("mov rax, qword ptr [rdi + 0x48]", held_in=held), {})
    assert keys.compared(use(checks=frozenset([0x48])))
    assert keys.compared(use(checks=frozenset([0xFFFFFFFFC0300060])))
    # Its distance from the variable's beginning is any other object's as well.
    assert not keys.compared(use(checks=frozenset([0x60])))
    assert not keys.compared(use(0x48))


def test_driver_data_from_the_device_and_from_what_it_is_part_of() -> None:
    way = read("mov rax, qword ptr [rdi + 0x78]")
    layout = Layout(frozenset([0x78, 0x88, 0x150]), frozenset())
    assert FieldKeys(way, {}, layout).of(use(0x88)) == 0x88
    assert FieldKeys(way, {}).of(use(0x88)) == 0x78
    # Of an object that is known, the distance tells.
    known = read("mov rax, qword ptr [rdi + 0x78]", held_in=made.owner(0, "page"))
    assert FieldKeys(known, {}, layout).of(use(0x88)) == 0x78


def test_a_drivers_own_behind_what_is_the_kernels() -> None:
    held = made.owner(0, "slab", offset=0x9A8)
    way = read("mov rax, qword ptr [rdi + 0x470]", held_in=held)
    checks = use(checks=frozenset([0x28]))
    assert FieldKeys(way, {}, Layout(frozenset(), frozenset([0x980]))).compared(checks)
    assert FieldKeys(way, {"rec_open": use(inner=frozenset([0x980]))}).compared(checks)
    assert not FieldKeys(way, {"rec_open": use(inner=frozenset([0x40]))}).compared(checks)


def test_the_kernel_has_a_pointer_to_what_lies_within_an_object() -> None:
    held = made.owner(0, "slab", offset=0x30)
    way = read("mov rax, qword ptr [rbx + 8]", held_in=held)
    assert FieldKeys(way, {}).of(use(8)) == 8
    kernel = replace(way, module=None)
    assert FieldKeys(kernel, {}).of(use(8)) == FieldKeys(kernel, {}).of(use(0x30)) == 0x30


def test_entries_of_a_table_have_one_key() -> None:
    begin = 0xFFFFFFFFC0300008
    held = made.owner(begin + 0x18, "module", module="rec", offset=0x20)
    way = read("mov r15, qword ptr [r14 + rax*8 - 0x110]", held_in=held)
    other = use(begin, tables=frozenset([begin, begin + 0x80, 0]))
    assert FieldKeys(way, {}).of(other) == begin
    # What was read without an index is a field.
    assert FieldKeys(PLAIN, {}).of(use(tables=frozenset([8]))) == 0x988
    slab = made.owner(0x1048, "slab", offset=0x48)
    way = read("mov rax, qword ptr [rdi + rdx*8 + 0x40]", held_in=slab)
    assert FieldKeys(way, {}).of(use(tables=frozenset([0x40, 0x60]))) == 0x40


def test_a_loop_has_a_pointer_to_each_entry_of_a_table() -> None:
    slab = made.owner(0xFFFF888003400048, "slab", slab=made.slab_object(), offset=0x48)
    way = read("mov rax, qword ptr [rdx]", held_in=slab)
    keys = FieldKeys(way, {"rec_weigh": use()})
    assert keys.of(use(0x30, tables=frozenset([0x30, 0x50]))) == 0x30
    assert keys.of(use(0x48)) == 0x48
