"""Ways out with a reference, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_machine import TEXT, Machine

from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.hangs.kept_references import Does, Kept, does, kept

FIND, PUT, OTHER, LOCK = TEXT + 0x1000, TEXT + 0x2000, TEXT + 0x3000, TEXT + 0x4000
GET = TEXT + 0x5000
DOES = {FIND: Does.TAKES, GET: Does.TAKES, PUT: Does.GIVES, LOCK: Does.LOOKS}

# call find; test rax,rax; je 3f
FOUND = "e8fb0f0000 4885c0 74"
# 3: mov eax,-2; ret
NOT_FOUND = "b8feffffff c3"
# cmp [rax+0x10],0; mov rdi,rax; je 2f; call put; xor eax,eax; ret; 2: mov eax,-19; ret
OFFLINE = f"{FOUND}17 80781000 4889c7 7408 e8e81f0000 31c0 c3 b8edffffff c3 {NOT_FOUND}"


def ways(code: str) -> list[Kept]:
    machine = Machine(code, "c3", "c3", "c3", "c3", "c3")
    calls = Calls(machine, (), {})
    made = calls.function(TEXT)
    assert made is not None
    return kept(made, lambda target: (DOES.get(target or 0, Does.OTHER), target == FIND))


def test_a_way_that_gives_nothing_back() -> None:
    assert ways(OFFLINE) == [Kept(TEXT, TEXT + 0x20, -19)]


@pytest.mark.parametrize(
    "code",
    [
        # Only not found: call find; test; je 3f; mov rdi,rax; call put; xor eax,eax; ret
        f"{FOUND}0b 4889c7 e8ee1f0000 31c0 c3 {NOT_FOUND}",
        # Never given back by it: call find; test; je 3f; xor eax,eax; ret
        f"{FOUND}03 31c0 c3 {NOT_FOUND}",
        # Stored: as OFFLINE, with mov [rbx],rax before the comparison
        OFFLINE.replace(f"{FOUND}17", f"{FOUND}1a 488903").replace("e8e81f0000", "e8e51f0000"),
    ],
)
def test_no_reference_is_kept(code: str) -> None:
    assert ways(code) == []


@pytest.mark.parametrize(("called", "found"), [("e8eb3f0000", True), ("e8eb2f0000", False)])
def test_what_is_called_with_it_may_keep_it(called: str, *, found: bool) -> None:
    # call find; test; je 3f; mov rdi,rax; mov rbx,rax; call X; test eax,eax; jne 2f;
    # mov rdi,rbx; call put; ret; 2: mov eax,-19; ret
    rest = f"85c0 7509 4889df e8df1f0000 c3 b8edffffff c3 {NOT_FOUND}"
    code = f"{FOUND}1e 4889c7 4889c3 {called} {rest}"
    assert bool(ways(code)) == found


def test_a_count_in_the_object() -> None:
    # lock inc [rdi+8]; cmp [rdi],0; je 2f; lock dec [rdi+8]; ret; 2: mov eax,-5; ret
    count = "f0ff4708 803f00 7405 f0ff4f08 c3 b8fbffffff c3"
    assert ways(count) == [Kept(TEXT, TEXT + 0x13, -5)]


def test_a_count_that_is_added_to() -> None:
    # lock add [rdi+8],1; cmp [rdi],0; je 2f; lock add [rdi+8],-1; ret; 2: ret
    assert ways("f083470801 803f00 7406 f0834708ff c3 c3") == [Kept(TEXT, TEXT + 0x10, None)]
    # What takes two things away is no reference taken: lock add [rdi+8],-2; ret
    assert ways("f0834708fe c3") == []


def test_a_reference_to_what_the_function_keeps_a_pointer_to() -> None:
    # mov rbx,rdi; mov rdi,rbx; call get; test [rbx],1; jne 2f; mov rdi,rbx; call put; ret;
    # 2: mov eax,-5; ret
    get, put = "e8f54f0000", "e8e81f0000"
    code = f"4889fb 4889df {get} f60301 7509 4889df {put} c3 b8fbffffff c3"
    assert ways(code) == [Kept(TEXT + 6, TEXT + 0x1E, -5)]


def test_where_the_pointer_is_an_error_code_none_was_taken() -> None:
    # call find; cmp rax,-4096; ja 2f; mov rdi,rax; call put; xor eax,eax; ret; 2: ret
    code = "e8fb0f0000 483d00f0ffff 770b 4889c7 e8eb1f0000 31c0 c3 c3"
    assert ways(code) == []
    # The same by its opposite: jbe 2f; ret; 2: mov rdi,rax; call put; xor eax,eax; ret
    code = "e8fb0f0000 483d00f0ffff 7601 c3 4889c7 e8ea1f0000 31c0 c3"
    assert ways(code) == []


def test_functions_of_the_kernel() -> None:
    assert [
        does(name) for name in ("kobject_get", "put_device", "mutex_lock", "kmalloc", None)
    ] == [
        Does.TAKES,
        Does.GIVES,
        Does.LOOKS,
        Does.OTHER,
        Does.OTHER,
    ]


@pytest.mark.parametrize(
    ("code", "returns"),
    [
        # inc gs:[rax]; cmp [rdi],0; je 2f; dec gs:[rax]; ret; 2: mov eax,-5; ret
        ("6548ff00 803f00 7405 6548ff08 c3 b8fbffffff c3", 0x13),
        # Not of what a pointer leads to: inc gs:[rip]; the same
        ("6548ff0500000000 803f00 7405 6548ff08 c3 b8fbffffff c3", None),
        # 1: lea edx,[rax+1]; lock cmpxchg [rdi],edx; jne 1b; cmp [rsi],0; je 2f;
        # lock dec [rdi]; ret; 2: mov eax,-5; ret
        ("8d5001 f00fb117 75f7 803e00 7404 f0ff0f c3 b8fbffffff c3", 0x17),
        # The same, of two more
        ("8d5002 f00fb117 75f7 803e00 7404 f0ff0f c3 b8fbffffff c3", None),
    ],
)
def test_other_ways_to_count(code: str, returns: int | None) -> None:
    assert [one.returns - TEXT for one in ways(code)] == ([] if returns is None else [returns])
