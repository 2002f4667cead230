"""Who else changes what ends a loop."""

from __future__ import annotations

import pytest
from handmade_code import ADDRESSES, NAMES, START, function, linked

from oopsight.cheap import replace
from oopsight.evidence.hangs.conditions import NumberAt
from oopsight.evidence.hangs.loop_changers import (
    FieldAt,
    _is_limited,
    _uneven,
    changes,
    handed_alike,
    sets_other_numbers,
    shape,
    steps_of,
    takes_away,
    uncounted,
)
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.kernel.machine_code import MASK, Expression

RING = 0xFFFF888000001000
LOOP = {"rdi": {(0x8, 4), (0xC, 4), (0x10, 4)}}
FIELDS = [FieldAt(NumberAt(RING + at, Expression("rdi", at), 0), 4) for at in (0x8, 0xC, 0x10)]


@pytest.mark.parametrize(
    ("code", "advances"),
    [
        # helper(ring->head); ring->size = size
        (("53 4889fb 8b770c", "call helper", "896b08 5b c3"), [False]),
        # ring->head = (ring->head + 1) % ring->size
        (("8b470c 83c001 ba00000000 f77708 89570c c3",), [True]),
        (("8b4708 83470c01 c3",), [True]),  # add
        (("8b4708 c7470c00000000 c3",), [False]),
        (("8b4708 48c7470c00000000 c3",), []),  # of another size
        (("8b4708 837f0c00 c3",), []),  # cmp
        (("c7470c00000000 c3",), []),  # the object may be of any kind
        (("call kmalloc_trace", "c7400805000000 c7400c00000000 c3"), []),  # it was just made
    ],
)
def test_stores_to_the_fields(code: tuple[str, ...], advances: list[bool]) -> None:
    assert list(changes(function(*code), FIELDS, LOOP, NAMES.get)) == advances


def test_a_variable_is_told_by_its_address() -> None:
    made = function("c70500010000 00000000 c3")  # mov dword ptr [rip + 0x100], 0
    (base,) = shape(made)
    ((address, size),) = shape(made)[base]
    field = FieldAt(NumberAt(address, Expression("", address), 0), size)
    assert list(changes(made, [field], {}, NAMES.get)) == [False]
    assert not list(changes(made, FIELDS, LOOP, NAMES.get))


def test_who_has_the_object_by_another_pointer() -> None:
    # The work's function has it by the work in it, 0x40 further on.
    loop = {"rdi": {(-0x38 & MASK, 4), (-0x34 & MASK, 4)}}
    field = FieldAt(NumberAt(RING + 0xC, Expression("rdi", -0x34 & MASK), 0, 0xC), 4)
    burst = function("8b4708 8b470c 01f0 89470c c3")
    assert list(changes(burst, [field], loop, NAMES.get)) == [True]
    assert not list(changes(function("8b470c 01f0 89470c c3"), [field], loop, NAMES.get))


@pytest.mark.parametrize(
    ("code", "limited"),
    [
        ("8b470c 01f0 89470c c3", False),  # head += count
        ("8b470c 01f0 83e00f 89470c c3", True),  # & 15
        ("8b470c 31d2 83c001 83f810 0f44c2 89470c c3", True),  # == 16 ? 0
        ("83470c01 837f0c10 7507 c7470c00000000 c3", True),
    ],
)
def test_what_keeps_a_number_within_a_limit(code: str, limited: bool) -> None:
    assert _is_limited(function(code), FIELDS[1:2]) is limited


@pytest.mark.parametrize(
    ("code", "raw", "takes"),
    [
        ("29770c c3", "feffffff", True),  # sub [rdi+0xc], esi
        ("29770c c3", "feffff7f", False),  # a large number, but one with no sign
        ("01770c c3", "feffffff", False),  # add
        ("8b470c 29f0 89470c c3", "feffffff", True),  # count = count - n
        ("8b470c 29f0 83e00f 89470c c3", "feffffff", False),  # & 15
    ],
)
def test_who_takes_from_what_is_below_zero(code: str, raw: str, *, takes: bool) -> None:
    field = FIELDS[1]._replace(raw=bytes.fromhex(raw))
    assert takes_away(function(code), [field]) is takes


def test_two_that_read_the_pointer_from_the_same_variable_have_one_object() -> None:
    trim = function("488b0500010000 2908 c3")  # mov rax, [rip + 0x100]; sub [rax], ecx
    (base,) = (one for one in shape(trim) if one.startswith("[0x"))
    field = FieldAt(NumberAt(RING, Expression(base, 0), 0), 4)
    assert list(changes(trim, [field], {base: {(0, 4), (8, 8), (16, 8)}}, NAMES.get)) == [True]
    other = field._replace(at=field.at._replace(where=Expression("rdi", 0)))
    assert not list(changes(trim, [other], {"rdi": {(0, 4), (8, 8), (16, 8)}}, NAMES.get))


def test_who_does_not_go_on_as_the_loop_does() -> None:
    put = function("8b470c 83c001 83e03f 89470c c3")
    assert steps_of(put, FIELDS) == {1}
    one, two = frozenset({1}), frozenset({2})
    assert list(_uneven(2, {"put": one, "burst": two, "reset": frozenset()})) == ["put"]
    # Where all go on by one, the loop does otherwise.
    assert not list(_uneven(2, {"put": one}))
    assert not list(_uneven(None, {"put": one, "burst": two}))


def test_a_function_that_is_handed_the_same_object() -> None:
    # rdi = rbx; call hold; rdi = rbx; call set_hold; rdi = rsi; call other
    starts = {name: START + 0x100 * n for n, name in enumerate(("ioctl", "hold", "set", "other"))}
    ioctl = "53 4889fb; call hold; 4889df; call set; 488b7b08; call other; 5b c3"
    code = linked(starts, ioctl=ioctl, hold="c3", set="c3", other="c3").values()
    assert handed_alike(code, starts["hold"], starts["set"])
    assert not handed_alike(code, starts["hold"], starts["other"])
    # Then one field of it is enough.
    store = function("c7470c00000000 c3")
    assert list(changes(store, FIELDS, LOOP, NAMES.get, told=True)) == [False]
    assert not list(changes(function("c7471c00000000 c3"), FIELDS, LOOP, NAMES.get, told=True))


@pytest.mark.parametrize(
    ("code", "others"),
    [
        ("c7470c02000000 c3", True),  # mov dword ptr [rdi + 0xc], 2
        ("c7470c07000000 c3", False),  # what is there
        ("89770c c3", False),  # what it is told
        ("c7470c02000000 89770c c3", False),
        ("c7470402000000 c3", False),  # to no field of these
    ],
)
def test_who_sets_numbers_that_are_not_there(code: str, others: bool) -> None:
    there = [one._replace(raw=b"\x07\0\0\0") for one in FIELDS]
    assert sets_other_numbers(function(code), there) is others


def test_who_fills_a_place_and_does_not_look_how_many_are_in_use() -> None:
    use = FieldUse((), (), counts=False)
    uses = {
        "add": replace(use, raises=frozenset([0x20])),
        "import": replace(use, raises=frozenset([0x24])),
        "find": use,
    }
    helper = ADDRESSES["helper"]
    # *helper(table) = 0; whether that is not zero
    fill, find = function("call helper", "c70000000000 c3"), function("call helper", "833800 c3")
    # if (table->used > 14) return; then the same
    limited = function("837f200e 770b", "call helper", "c70000000000 c3")
    loaded = function("8b4720 83f80e 770b", "call helper", "c70000000000 c3")
    for add in (limited, loaded):
        assert uncounted(uses, {"add": add, "import": fill, "find": find}, helper) == ("import",)
    # Nobody has a limit; another function has found it.
    assert not uncounted(uses, {"add": fill, "import": fill}, helper)
    assert not uncounted(uses, {"add": limited, "import": fill}, helper + 0x100)
