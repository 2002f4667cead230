"""What a function does with fields, on disassembly written by hand."""

from __future__ import annotations

import pytest
from handmade_fields import START, use

from oopsight.evidence.modules.field_code import Freed, Stored, joined
from oopsight.evidence.modules.field_marks import Mark, Wiped


def test_what_a_field_holds_is_freed_and_left_there() -> None:
    found = use("mov rbx, rdi", "mov rdi, qword ptr [rbx + 0x20]", "call 0x9000", "ret ")
    assert found.frees == (Freed(0x20, cleared=False, whole=False),)


@pytest.mark.parametrize(
    "lines",
    [
        ("mov rsi, qword ptr [rbx + 0x20]", "xor edi, edi", "call 0x9d00"),
        ("mov rdi, qword ptr [rbx + 0x20]", "mov rsi, rbp", "call 0x9e00"),
        # kfree_rcu() of Linux 6.1 tells how far the member is, that of 6.12 the object.
        ("mov rdi, qword ptr [rbx + 0x20]", "add rdi, 0x18", "mov esi, 0x18", "call 0x9c00"),
        ("mov rsi, qword ptr [rbx + 0x20]", "lea rdi, [rsi + 0x18]", "call 0x9c00"),
        ("mov rax, qword ptr [rbx + 0x20]", "lea rdi, [rax + 0x18]", "call 0x9f00"),
    ],
)
def test_by_whichever_function(lines: tuple[str, ...]) -> None:
    found = use("mov rbx, rdi", *lines, "ret ")
    assert found.frees == (Freed(0x20, cleared=False, whole=False),)


@pytest.mark.parametrize(
    ("more", "cleared", "whole"),
    [
        # The field is cleared, or gets another pointer; the object with the field is freed too.
        (("mov qword ptr [rbx + 0x20], 0",), True, False),
        (("mov qword ptr [rbx + 0x20], r12",), True, False),
        (("mov rdi, rbx", "call 0x9000"), False, True),
        (("mov qword ptr [rbx + 0x28], 0",), False, False),
    ],
)
def test_what_becomes_of_the_field(more: tuple[str, ...], cleared: bool, whole: bool) -> None:
    lines = ("mov rbx, rdi", "mov rdi, qword ptr [rbx + 0x20]", "call 0x9000", *more)
    assert use(*lines).frees[0] == Freed(0x20, cleared, whole, always=whole)


@pytest.mark.parametrize(
    ("between", "always"),
    [
        (("jne 0x1018",), False),  # past the second call
        (("jne 0x1004",), True),
        (("ret ",), False),
        (("jmp 0x8000",), False),
    ],
)
def test_the_object_with_the_field_is_freed_on_some_ways_or_on_all(
    between: tuple[str, ...], always: bool
) -> None:
    lines = ("mov rbx, rdi", "mov rdi, qword ptr [rbx + 0x20]", "call 0x9000", *between)
    (found,) = use(*lines, "mov rdi, rbx", "call 0x9000", "ret ").frees
    assert (found.whole, found.always) == (True, always)


@pytest.mark.parametrize(
    ("lines", "at_times"),
    [
        # The number is looked at behind the call: if it is too large, the way ends there.
        (("cmp r12, 0x40", "ja 0x101c", "mov qword ptr [rbx + 0x20], rax", "ret ", "ret "), True),
        # It is looked at, and both ways store a pointer.
        (("cmp r12, 0x40", "ja 0x101c", "mov qword ptr [rbx + 0x20], rax", "ret ",
          "mov qword ptr [rbx + 0x20], 0", "ret "), False),
        # The jump leads to the store, or past it.
        (("cmp r12, 0x40", "jmp 0x1018", "nop ", "mov qword ptr [rbx + 0x20], rax", "ret "), False),
        (("cmp r12, 0x40", "jmp 0x101c", "nop ", "mov qword ptr [rbx + 0x20], rax", "ret "), True),
    ],
)  # fmt: skip
def test_on_some_ways_the_pointer_is_left(lines: tuple[str, ...], at_times: bool) -> None:
    found = use("mov rbx, rdi", "mov rdi, qword ptr [rbx + 0x20]", "call 0x9000", *lines)
    (one,) = found.frees
    assert (one.cleared, one.at_times) == (True, at_times)


def test_a_store_before_the_free_does_not_clear() -> None:
    found = use(
        "mov rbx, rdi",
        "mov qword ptr [rbx + 0x20], r12",
        "mov rsi, qword ptr [rbx + 0x20]",
        "call 0x9300",
    )
    assert found.frees == (Freed(0x20, cleared=False, whole=False),)


def test_what_is_stored() -> None:
    found = use(
        "mov rbx, rdi",
        "call 0x9200",
        "mov qword ptr [rbx + 0x20], rax",
        "call 0x9100",
        "mov qword ptr [rbx + 0x28], rax",
        "mov qword ptr [rbx + 8], 0",
        "lea rax, [rbx + 0x30]",
        "mov qword ptr [rbx + 0x30], rax",
        "mov qword ptr [rbx + 0x40], rsi",
    )
    kinds = {one.key: (one.what, one.called) for one in found.stores}
    assert kinds[0x20] == ("returned", "crypto_alloc_shash")
    assert kinds[0x28] == ("fresh", "kzalloc")
    assert kinds[8][0] == "zero"
    assert kinds[0x30][0] == "itself"
    assert kinds[0x40][0] == "value"
    assert not found.counts


def test_an_error_code_is_checked_and_a_reference_is_taken() -> None:
    found = use(
        "call 0x9200",
        "mov qword ptr [rbx + 0x20], rax",
        "cmp rax, -0x1000",
        "mov eax, 1",
        "lock xadd dword ptr [rbx], eax",
    )
    assert found.stores == (Stored(0x20, "returned", "crypto_alloc_shash", checked=True),)
    assert found.counts
    assert not use("mov eax, 0xffffffff", "lock xadd dword ptr [rbx], eax").counts


def test_a_count_begins_with_one() -> None:
    assert use("mov dword ptr [rbx + 8], 1").starts
    assert not use("mov dword ptr [rbx + 8], 0", "mov byte ptr [rbx], 1").starts


def test_variables_are_known_by_their_address() -> None:
    found = use("mov rdi, qword ptr [rip + 0x100]", "call 0x9000", "mov rax, 0xffffffffc0300000",
                "mov qword ptr [rax + 8], rdx")  # fmt: skip
    assert found.frees[0].key == START + 4 + 0x100
    assert found.stores[0].key == 0xFFFFFFFFC0300008


def test_how_much_is_allocated_and_what_else_is_freed() -> None:
    found = use("mov edx, 0x60", "call 0x9400", "mov qword ptr [rbx + 8], rax", "mov rdi, rbx",
                "call 0x9000")  # fmt: skip
    assert found.stores[0].size == 0x60
    assert found.frees_more


def test_a_copy_of_a_whole_object() -> None:
    assert use("mov esi, 0x18", "call 0x9500").copies == (0x18,)
    assert use("mov rsi, rbx", "call 0x9500").copies == ()


def test_what_the_module_s_own_functions_are_called_says_nothing() -> None:
    lines = ("call 0x9600", "mov qword ptr [rbx + 0x18], 0", "mov rdi, qword ptr [rbx]")
    found = use(*lines, "call 0x9000")
    assert (found.stores[0].late, len(found.frees)) == ("misc_register", 1)
    found = use(*lines, "call 0x9000", own=frozenset({"misc_register", "kfree"}))
    assert (found.stores[0].late, found.frees) == (None, ())


def test_what_is_known_of_a_store() -> None:
    found = use(
        "call 0x9200",
        "mov rbx, rax",
        "test rax, rax",
        "mov qword ptr [rdi + 8], rax",
        "call 0x9400",
        "mov qword ptr [rax + 0x10], rbx",
        "call 0x9600",
        "mov qword ptr [rbx + 0x18], 0",
    )
    tested, into, late = found.stores
    assert (tested.tested, tested.into, tested.late) == (True, None, None)
    assert (into.into, into.late) == ("kmalloc_trace", None)
    assert late.late == "misc_register"
    assert found.sets == {8, 0x10, 0x18}
    assert found.fills == {"kmalloc_trace", "crypto_alloc_shash"}


@pytest.mark.parametrize(
    ("lines", "wiped"),
    [
        (("mov esi, 0", "mov edx, 0x30", "call 0x9700"), (Wiped(0x30, None),)),
        (("mov esi, 1", "mov edx, 0x30", "call 0x9700"), ()),
        (("xor eax, eax", "mov ecx, 4", "rep stosq qword ptr [rdi], rax"), (Wiped(32, None),)),
        (("mov eax, 7", "mov ecx, 4", "rep stosq qword ptr [rdi], rax"), ()),
        (("lea rdi, [rsp + 8]", "xor eax, eax", "rep stosq qword ptr [rdi], rax"), ()),
        (("call 0x9400", "mov rdi, rax", "xor eax, eax", "rep stosq qword ptr [rdi], rax"),
         (Wiped(None, "kmalloc_trace"),)),
    ],
)  # fmt: skip
def test_what_is_filled_with_zeros(lines: tuple[str, ...], wiped: tuple[Wiped, ...]) -> None:
    assert use(*lines).wipes == wiped


def test_the_poison_of_a_deleted_entry() -> None:
    found = use("movabs rax, 0xdead000000000122", "mov qword ptr [rbx + 8], rax")
    assert found.unlinks
    assert not use("movabs rax, 0xdead000000000100", "mov qword ptr [rbx], rax").unlinks


def test_two_parts_of_a_function() -> None:
    hot = use("mov qword ptr [rbx + 8], 0", "lea rax, [rbx + 0x40]")
    cold = use("mov rdi, qword ptr [rbx + 8]", "call 0x9000")
    both = joined(hot, cold)
    assert (both.stores, both.frees) == (hot.stores, cold.frees)
    assert (both.inner, both.sets) == ({0x40}, {8})


@pytest.mark.parametrize(
    ("line", "takes", "gives"),
    [
        ("lock xadd dword ptr [rbx], eax", True, False),
        ("lock dec dword ptr [rbx]", False, True),
        ("lock sub dword ptr [rbx], 1", False, True),
    ],
)
def test_references_are_taken_and_given_back(line: str, takes: bool, gives: bool) -> None:
    found = use(line)
    assert (found.counts, found.uncounts, found.changes) == (takes, gives, {0})


def test_a_reference_less_is_given_back() -> None:
    found = use("mov eax, 0xffffffff", "lock xadd dword ptr [rbx], eax")
    assert (found.counts, found.uncounts) == (False, True)


def test_what_is_changed_in_memory_that_is_not_new() -> None:
    found = use("add dword ptr [rbx + 8], 1", "mov qword ptr [rbx + 0x10], rcx", "call 0x9400",
                "mov dword ptr [rax + 0x20], 1")  # fmt: skip
    # Eight bytes are two fields of four.
    assert found.changes == {8, 0x10, 0x14}
    assert found.sets == {0x10, 0x20}


def test_an_early_end_does_not_spoil_what_comes_behind_it() -> None:
    found = use(
        "mov rbx, qword ptr [rdi + 0x58]",
        f"je {START + 4 * 5:#x}",
        "pop rbx",
        "ret ",
        "int3 ",
        "mov rdi, rbx",
        "pop rbx",
        "jmp 0x9000",
    )
    assert found.frees == (Freed(0x58, cleared=False, whole=False),)


def test_what_is_compared_with_null() -> None:
    found = use(
        "mov rax, qword ptr [rdi + 0x38]",
        "test rax, rax",
        "cmp qword ptr [rdi + 0x40], 0",
        "cmp dword ptr [rdi + 0x50], 0",
        "mov rax, qword ptr [rdi + 0x58]",
        "cmp rax, 8",
    )
    assert found.checks == {0x38, 0x40}


@pytest.mark.parametrize("step", ["lea rax, [rax + 0x8]", "mov rax, qword ptr [rax]"])
def test_a_chain_of_values_without_end_is_given_up(step: str) -> None:
    begun = ("mov rax, rdi", *[step] * 3, "mov qword ptr [rax + 0x8], 0")
    assert use(*begun).zeroes == use(*begun, *[step] * 4000, *begun[-1:]).zeroes == {8}


@pytest.mark.parametrize(
    ("lines", "given"),
    [
        (("mov qword ptr [rdi + 8], rsi",), True),
        (("mov rax, qword ptr [rsi + 0x10]", "mov qword ptr [rdi + 8], rax"), True),
        (("mov rax, qword ptr [rsp + 0x10]", "mov qword ptr [rdi + 8], rax"), True),
        (("call 0x9800", "mov rcx, qword ptr [rax]", "mov qword ptr [rbx + 8], rcx"), True),
        (("mov rax, qword ptr [rip + 0x100]", "mov qword ptr [rdi + 8], rax"), False),
        (("lea rax, [rsi + 0x10]", "mov qword ptr [rdi + 8], rax"), False),
        (("call 0x9100", "mov qword ptr [rbx + 8], rax"), False),
    ],
)
def test_what_the_caller_may_have_brought(lines: tuple[str, ...], given: bool) -> None:
    (stored,) = use(*lines).stores
    assert stored.given is given


def test_a_jump_back_to_a_store_brings_another_value() -> None:
    found = use(
        "test rsi, rsi",
        "jne 0x1014",
        "mov rax, 0xffffffffc0300000",
        "mov qword ptr [rdi + 8], rax",
        "ret ",
        "mov rax, qword ptr [rsi]",
        "jmp 0x100c",
    )
    assert [one.what for one in found.stores] == ["number", "value"]


def test_a_field_whose_pointer_is_copied_through_as_a_processs() -> None:
    assert use("mov rsi, qword ptr [rbx + 0x20]", "call 0x9900").of_users == {0x20}
    assert use("mov rdi, qword ptr [rbx + 0x20]", "call 0x9900").of_users == frozenset()


def test_an_exchange_stores_and_brings_back_what_was_there() -> None:
    found = use("xor eax, eax", "xchg qword ptr [rbx + 0x20], rax", "mov rdi, rax", "call 0x9000")
    assert found.frees == (Freed(0x20, cleared=True, whole=False),)
    assert found.stores == (Stored(0x20, "zero", None),)


def test_members_that_the_kernel_is_had_set_up_are_set() -> None:
    found = use("lea rdi, [rbx + 0x20]", "call 0x9a00", "ret ")
    assert found.inits == {("init_waitqueue_head", 0x20)}
    assert {0x20, 0x28, 0x30} <= found.sets
    assert use("mov rdi, rbx", "call 0x9a00").inits == {("init_waitqueue_head", 0)}


def test_what_is_read_behind_a_return_is_come_to_from_elsewhere() -> None:
    # The unlikely way leads past the call that makes it known.
    end = START + 4 * 4
    found = use(
        f"je {end:#x}",
        "call 0x9600",
        "mov qword ptr [rbx + 8], rbp",
        "ret ",
        "mov qword ptr [rbx + 0x10], rbp",
    )
    assert [one.late for one in found.stores] == ["misc_register", None]


def test_in_which_direction_a_number_is_changed() -> None:
    found = use(
        "add dword ptr [rdi + 8], 1",
        "lock inc qword ptr [rdi + 0x10]",
        "add dword ptr [rdi + 0x18], -1",
        "sub dword ptr [rdi + 0x20], eax",
        "add dword ptr [rdi + 0x28], 1",
        "mov dword ptr [rdi + 0x28], ecx",
        "and dword ptr [rdi + 0x30], 1",
    )
    assert (found.raises, found.lowers) == ({8, 0x10}, {0x18, 0x20})
    assert found.narrow == {8, 0x18, 0x20, 0x28, 0x30}


@pytest.mark.parametrize(("number", "up"), [("1", True), ("0xffffffff", False)])
def test_in_which_direction_a_reference_is_counted(number: str, up: bool) -> None:
    found = use(f"mov eax, {number}", "lock xadd dword ptr [rbx + 8], eax")
    assert (found.raises, found.lowers) == (({8}, set()) if up else (set(), {8}))


def test_a_field_that_is_set_to_what_the_function_is_given() -> None:
    given = use("mov ebx, esi", "call 0x9400", "mov dword ptr [rdi + 8], ebx")
    assert given.passed == {(8, "rsi")}
    # One that computes it, tells it itself; a division leaves its results in two registers.
    assert not use("shr esi, 2", "mov dword ptr [rdi + 8], esi").passed
    assert not use("mov rax, rsi", "div ecx", "mov dword ptr [rdi + 8], eax").passed


def test_what_made_it_known_returns_what_is_kept_of_that() -> None:
    keeps = ("mov rbx, rdi", "call 0x9600", "mov qword ptr [rbx + 8], rax")
    assert [one.late for one in use(*keeps).stores] == [None]
    more = use(*keeps, "mov qword ptr [rbx + 0x10], r12")
    assert [one.late for one in more.stores] == [None, "misc_register"]


def test_a_table_of_pointers_has_the_key_of_its_first_entry() -> None:
    load = "mov r15, qword ptr [r14 + rax*8 - 0x110]"
    found = use(load, "mov rdi, r15", "call 0x9000", "ret ")
    (one,) = found.frees
    assert (one.key, one.cleared) == (-0x110 & (1 << 64) - 1, False)
    clear = "mov qword ptr [r14 + rax*8 - 0x110], 0"
    (one,) = use(load, clear, "mov rdi, r15", "call 0x9000", "ret ").frees
    assert (one.cleared, one.at_times) == (True, False)
    assert use("mov qword ptr [rbp*8 - 0x3fb97bf8], rbx").tables == {0xFFFFFFFFC0468408}


def test_a_pointer_of_an_entry_told_by_an_index_is_compared_by_its_key_in_the_entry() -> None:
    load = "mov rdi, qword ptr [rdx + rbp + 0x50]"
    assert use("mov rdx, rsi", "shl rdx, 5", load, "test rdi, rdi", "ret ").checks == {0x50}
    assert use("cmp qword ptr [rdx + rax*4 + 0x18], 0", "ret ").checks == {0x18}
    assert not use(load, "mov rsi, rdi", "ret ").checks


def test_references_that_are_given_back() -> None:
    put = use("mov rbx, rdi", "mov rdi, qword ptr [rbx + 0x40]", "call 0x9b00").put
    assert [(value.kind, value.number) for _, value in put] == [("loaded", 0x40)]
    inline = use("mov eax, 0xffffffff", "lock xadd dword ptr [rdi + 0x10], eax").put
    assert [value.kind for _, value in inline] == ["argument"]
    taken = use("mov eax, 1", "lock xadd dword ptr [rdi + 0x10], eax")
    assert (taken.put, [value.kind for value in taken.taken]) == ((), ["argument"])
    assert use("lock inc dword ptr [rdi + 0x10]").taken == taken.taken


def test_what_goes_into_and_out_of_others_hands() -> None:
    # hlist_del(&bird->link), as it is inlined; and the pointer to it that hlist_add_head() stores
    taken = use(
        "mov rdx, qword ptr [rdi + 0x18]", "mov rax, qword ptr [rdi + 0x10]",
        "mov qword ptr [rdx], rax",
    ).taken_off  # fmt: skip
    assert [(value.kind, distance) for value, distance in taken] == [("argument", 0x10)]
    put_in = use("call 0x9100", "lea rdx, [rax + 0x10]", "mov qword ptr [rcx], rdx").put_in
    assert [(value.called, distance) for value, distance in put_in] == [("kzalloc", 0x10)]


def test_addresses_that_a_new_object_gets() -> None:
    found = use(
        "call 0x9100", "mov rbx, rax", "mov qword ptr [rbx + 0x30], 0xffffffffc0468400",
        "mov qword ptr [rbx + 0x38], 5", "mov qword ptr [r12 + 0x58], 0xffffffffc0466320",
    )  # fmt: skip
    assert found.given == (Mark(0x30, 8, 0xFFFFFFFFC0468400),)


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        # Another is had for it, which may fail.
        (("test eax, eax", "js 0x1014", "mov qword ptr [rbx + 0x20], 0", "ret "), True),
        (("mov qword ptr [rbx + 0x20], rax", "ret "), False),
        (("ret ",), False),  # who always leaves it is told apart
        # What has the field goes as well.
        (("test eax, eax", "js 0x1014", "mov qword ptr [rbx + 0x20], 0", "mov rdi, rbx",
          "call 0x9000", "ret "), False),
    ],
)  # fmt: skip
def test_a_reference_is_given_back_and_the_pointer_left_on_some_ways(
    lines: tuple[str, ...], left: bool
) -> None:
    # Of the jumps the place is that of the "ret" or of what follows the store.
    size = 3 + len(lines)
    lines = tuple(line.replace("0x1014", f"{0x1000 + 4 * (size - 1):#x}") for line in lines)
    found = use("mov rbx, rdi", "mov rdi, qword ptr [rbx + 0x20]", "call 0x9b00", *lines)
    assert bool(found.left_at_times) is left


def test_a_pointer_that_is_followed_is_not_null() -> None:
    # One that was read elsewhere, looked into, and stored; one that was allocated and filled.
    read = ("mov rbx, rdi", "mov rax, qword ptr [rsi + 8]")
    stores = "mov qword ptr [rbx + 0x20], rax"
    assert use(*read, stores).stores[0].loaded
    assert not use(*read, "cmp dword ptr [rax + 0x10], 0", stores).stores[0].loaded
    assert not use(*read, "lea rdx, [rax + 0x10]", stores, "ret ").stores[0].tested
    made = ("mov rbx, rdi", "call 0x9100", "mov dword ptr [rax + 0x10], 1", stores)
    assert use(*made).stores[0].tested


def test_members_that_the_kernel_is_told_to_set_up() -> None:
    assert use("lea rdi, [rdi + 0x48]", "call 0x9a00").set_up == {0x48, 0}
    assert use("add rdi, 0x48", "call 0x9a00").set_up == {0x48, 0}
    assert use("mov rdi, 0xffffffffc0002000", "call 0x9a00").set_up == {0xFFFFFFFFC0002000, 0}
    assert use("lea rdi, [rdi + 0x48]", "call 0x9b00").set_up == set()
    # Whoever has made the object serves the one that has it set up.
    made = use("call 0x9200", "lea rdi, [rax + 0x48]", "call 0x9a00")
    assert made.fills == {"crypto_alloc_shash"}


def test_a_store_through_the_address_of_a_member() -> None:
    found = use("lea rbp, [rdi + 0x18]", "call 0x9100", "mov qword ptr [rbp], rax")
    assert [one.key for one in found.stores] == [0, 0x18]
    assert found.sets == {0, 0x18}


def test_a_function_of_the_module_that_makes_the_object_known_first() -> None:
    own = frozenset(["crypto_alloc_shash"])
    fill = ("mov qword ptr [rbx + 0x20], r12",)
    lines = ("mov rbx, rdi", "call 0x9200", *fill)
    assert use(*lines, own=own, announcing=own).stores[0].after == "crypto_alloc_shash"
    assert use(*lines, own=own).stores[0].after is None
    # It was another object.
    other = ("mov rbx, rsi", "call 0x9200", *fill)
    assert use(*other, own=own, announcing=own).stores[0].after is None


def test_what_is_copied_over_as_a_whole() -> None:
    copies = use("lea rdi, [rdi + 0x10]", "mov rsi, 0xffffffffc0301000", "mov ecx, 5",
                 "rep movsq qword ptr [rdi], qword ptr [rsi]")  # fmt: skip
    assert copies.copied_over == (Wiped(40, None, 0x10, 0xFFFFFFFFC0301000),)
    assert copies.wipes == ()
    calls = use("mov rdi, 0xffffffffc0302000", "mov rsi, r12", "mov edx, 0x18", "call 0xa000")
    assert calls.copied_over == (Wiped(0x18, None, 0xFFFFFFFFC0302000),)


@pytest.mark.parametrize(
    ("before", "freed"),
    [
        (("mov qword ptr [rbx + 0x20], rax",), True),
        # Before it is stored, another is stored there since, or the next was had.
        ((), False),
        (("mov qword ptr [rbx + 0x20], rax", "mov qword ptr [rbx + 0x20], r12"), False),
        (("mov qword ptr [rbx + 0x20], rax", "call 0x9100", "mov rax, r13"), True),
    ],
)
def test_what_it_has_stored_itself_is_freed(before: tuple[str, ...], freed: bool) -> None:
    lines = ("mov rbx, rdi", "call 0x9100", "mov r13, rax", *before, "mov rdi, r13", "call 0x9000")
    found = use(*lines, "ret ")
    assert [(one.key, one.own) for one in found.frees] == ([(0x20, True)] if freed else [])
