"""What tells writers where to stop, on code assembled by hand."""

from __future__ import annotations

from dataclasses import replace

import handmade_facts as made
import pytest
from handmade_machine import TEXT
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import writer_limits
from oopsight.evidence.corruption.overrun import Overrun
from oopsight.evidence.corruption.writer_limits import Teller, WriterLimits, collect
from oopsight.evidence.exhaustion.allocators import Allocator
from oopsight.evidence.memory.memory_report import Mistake
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.evidence.modules.module_code import ModuleFunction

MODULES = made.modules(made.module("panel", TEXT, TEXT + 0x5000, "O"))
RUN = replace(made.users(made.slab_object()), question="overrun", overrun=made.overrun())


def collected(
    monkeypatch: pytest.MonkeyPatch,
    *functions: str,
    overrun: Overrun | None = None,
    **calls: str,
) -> WriterLimits | Missing:
    """Functions a page apart, by their names; the first one writes."""
    code = Code(*functions, "c3")
    code.names = [*calls, "memset"]
    inner = [
        ModuleFunction(name, code.start(number), frozenset({called}), frozenset(), copies=False)
        for number, (name, called) in enumerate(calls.items())
    ]
    monkeypatch.setattr(writer_limits, "SessionReader", lambda _: code)
    monkeypatch.setattr(writer_limits, "inner_functions", lambda *_: inner)
    monkeypatch.setattr(writer_limits, "holding_variables", lambda *_: ())
    use = replace(RUN.modules[0], module="panel", writes=(inner[0].name,))
    users = replace(RUN, modules=(use,), overrun=overrun or RUN.overrun)
    return collect(Machine().session, users, made.ABSENT, MODULES)


# xor eax,eax; 1: mov [rdi+rax],cl; inc rax; cmp rax,rsi; jb 1b; ret
BY_ARGUMENT = "31c0 880c07 48ffc0 4839f0 72f5 c3"


def test_who_tells_a_writer_how_far_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    # mov esi,64; call put
    sixty_four = "be40000000 e8f6efffff c3"
    # mov rsi,rdx; call put
    passes = "4889d6 e8f8dfffff c3"
    found = collected(
        monkeypatch, BY_ARGUMENT, sixty_four, passes, put="", title="put", icon="put", draw="memset"
    )
    assert isinstance(found, WriterLimits)
    limit = found.of("put")
    assert limit is not None
    assert not limit.by_memory
    assert limit.tellers == (Teller("title", 64), Teller("icon", None, hands_on=True))


def test_who_checks_or_computes_a_number_does_not_just_hand_it_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # cmp rdx,127; ja +8; mov rsi,rdx; call put
    checks = "4883fa7f 7708 4889d6 e8f2efffff c3"
    # lea rsi,[rdx-24]; call put
    computes = "488d72e8 e8f7dfffff c3"
    found = collected(monkeypatch, BY_ARGUMENT, checks, computes, put="", title="put", icon="put")
    assert isinstance(found, WriterLimits)
    limit = found.of("put")
    assert limit is not None
    assert limit.tellers == (Teller("title", 127, compared=True), Teller("icon", None))


def test_a_writer_may_go_by_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    # mov edx,[rdi+16]; imul edx,[rdi+12]; mov rdi,[rdi]; call memset
    fill = "8b5710 0faf570c 488b3f e8f11f0000 c3"
    found = collected(monkeypatch, fill, "c3", fill="memset", grow="__kmalloc_noprof")
    assert isinstance(found, WriterLimits)
    limit = found.of("fill")
    assert limit is not None
    assert (limit.by_memory, limit.tellers, found.makers) == (True, (), ("grow",))


def test_who_sets_the_number_that_a_writer_goes_by(monkeypatch: pytest.MonkeyPatch) -> None:
    # xor eax,eax; 1: mov [rdx+rax*2],cx; inc rax; cmp eax,[rdi+0x38]; jb 1b;
    # 2: mov rdx,[rdx]; mov [rdx+0x10],rax; cmp rdx,rsi; jne 2b; ret
    sample = "31c0 66890c42 48ffc0 3b4738 72f4 488b12 48894210 4839f2 75f4 c3"
    # mov [rdi+0x38],esi; ret      mov [rdi+0x3c],esi; ret
    sets, others = "897738 c3", "89773c c3"
    functions = (sample, sets, others)
    run = replace(made.overrun(), width=2, kind="numbers of 16 bits")
    found = collected(monkeypatch, *functions, overrun=run, sample="", scale="", rate="")
    assert isinstance(found, WriterLimits)
    limit = found.of("sample")
    # The list that it walks as well, to an end that it was given, is not what was written.
    assert limit is not None
    assert (limit.by_memory, limit.tellers, limit.set_by) == (True, (), ("scale",))


def test_nothing_is_asked_where_nothing_was_written_over() -> None:
    freed = made.users(made.slab_object("free"))
    assert isinstance(collect(Machine().session, freed, made.ABSENT, MODULES), Missing)


def test_what_the_heap_itself_reported_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    collected(monkeypatch, BY_ARGUMENT, put="")
    report = made.memory_report(Mistake.OVERWRITTEN, owner="panel", writers=("put",))
    found = collect(Machine().session, made.ABSENT, report, MODULES)
    assert isinstance(found, WriterLimits)
    assert found.of("put") is not None
    accessed = made.memory_report(Mistake.OUT_OF_BOUNDS, stack=frames_of("panel", "put"))
    assert collect(Machine().session, made.ABSENT, accessed, MODULES) == found
    freed = made.memory_report(Mistake.USE_AFTER_FREE, stack=frames_of("panel", "put"))
    assert isinstance(collect(Machine().session, made.ABSENT, freed, MODULES), Missing)


def frames_of(module: str, function: str) -> tuple[TrackFrame, ...]:
    return (TrackFrame(Address(TEXT), function, module, None),)


@pytest.mark.parametrize(
    ("loop", "goes_on"),
    [
        # Counted up, then compared with the argument: jb, jae (rsi with rax), jbe.
        ("31c0 880c07 48ffc0 4839f0 72f5 c3", False),
        ("31c0 880c07 48ffc0 4839c6 73f5 c3", True),
        ("31c0 880c07 48ffc0 4839f0 76f5 c3", True),
        # Compared before it writes: jae or ja out of the loop.
        ("31c0 4839f0 7308 880c07 48ffc0 ebf3 c3", False),
        ("31c0 4839f0 7708 880c07 48ffc0 ebf3 c3", True),
        # The argument counted down to nothing.
        ("31c0 880c07 48ffc0 48ffce 75f5 c3", False),
    ],
)
def test_a_loop_may_write_one_more_than_it_was_told(
    monkeypatch: pytest.MonkeyPatch, loop: str, goes_on: bool
) -> None:
    # mov esi,64; call put
    found = collected(monkeypatch, loop, "be40000000 e8f6efffff c3", put="", title="put")
    assert isinstance(found, WriterLimits)
    limit = found.of("put")
    assert limit is not None
    assert limit.one_more == goes_on


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        # lea rcx,[rax+0x80]; 1: add rdx,[rax]; add rax,8; cmp rax,rcx; jne 1b; ret
        ("488d8880000000 480310 4883c008 4839c8 75f4 c3", True),
        ("488d8860000000 480310 4883c008 4839c8 75f4 c3", False),
    ],
)
def test_others_that_go_as_far(monkeypatch: pytest.MonkeyPatch, other: str, shared: bool) -> None:
    # xor eax,eax; 1: mov [rcx+rax*8],rdx; add rax,1; cmp rax,16; jne 1b; ret
    learns = "31c0 488914c1 4883c001 4883f810 75f2 c3"
    monkeypatch.setattr(
        writer_limits, "allocating", lambda *_: ((Allocator("open", "open+0x20"),), True)
    )
    found = collected(monkeypatch, learns, other, "c3", learn="", sum="", open="")
    assert isinstance(found, WriterLimits)
    limit = found.of("learn")
    assert limit is not None
    assert (limit.constant, limit.shared, found.fixed) == (True, shared, ("open",))


@pytest.mark.parametrize(
    ("check", "most"),
    [
        ("4883ff60 0f96c0 c3", 96),  # cmp rdi,96; setbe al; ret
        ("4883ff60 7703 b001 c3 30c0 c3", 96),  # cmp rdi,96; ja; mov al,1; ret; xor al,al; ret
        ("4885ff 0f95c0 c3", None),  # test rdi,rdi; setne al; ret
    ],
)
def test_who_is_asked_before_the_writer_is_told(
    monkeypatch: pytest.MonkeyPatch, check: str, most: int | None
) -> None:
    # push rbx; mov rbx,rdx; mov rdi,rbx; call fits; mov rsi,rbx; call put; pop rbx; ret
    puts = "53 4889d3 4889df e8f40f0000 4889de e8ecefffff 5b c3"
    found = collected(monkeypatch, BY_ARGUMENT, puts, check, put="", send="put", fits="")
    assert isinstance(found, WriterLimits)
    limit = found.of("put")
    assert limit is not None
    checked = [one.most for one in limit.tellers if one.function == "fits"]
    assert checked == ([most] if most is not None else [])


@pytest.mark.parametrize("compared", [True, False])
def test_what_a_process_tells_is_held_to_numbers_in_memory(
    monkeypatch: pytest.MonkeyPatch, compared: bool
) -> None:
    # sub rsp,16; lea rdi,[rsp]; call _copy_from_user; mov eax,[rbx]; mov esi,[rsp]; cmp eax,esi
    asks = "4883ec10 488d3c24 e8f30f0000 8b03 8b3424 "
    asks += "39f0" if compared else "85f6"
    # jb 2f; xor eax,eax; 1: mov [rbp+rax],cl; inc rax; cmp eax,[rsp]; jb 1b; 2: add rsp,16; ret
    loop = "720e 31c0 884c0500 48ffc0 3b0424 72f4 4883c410 c3"
    found = collected(monkeypatch, asks + loop, put="_copy_from_user")
    assert isinstance(found, WriterLimits)
    limit = found.of("put")
    assert limit is not None
    assert limit.by_memory is compared


def test_an_end_that_is_counted_from_the_beginning_is_a_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 1: mov rcx,[rcx]; cmp [rcx+8],esi; jne 1b; lea rax,[rcx+0x18]; lea rdx,[rcx+0x138];
    # 2: mov [rax],rbx; add rax,8; cmp rax,rdx; jne 2b; ret
    fill = "488b0f 488b09 397108 75f8 488d4118 488d9138010000 488918 4883c008 4839d0 75f4 c3"
    # mov edi,0x38; call __kmalloc
    makes = "bf38000000 e8f6efffff"
    found = collected(monkeypatch, fill, "c3", makes, bend="f", __kmalloc="f", add="__kmalloc")
    assert isinstance(found, WriterLimits)
    limit = found.of("bend")
    assert limit is not None
    assert (limit.by_memory, limit.constant) == (False, True)
    # It asks for a number that stands in its code, and computes none.
    assert "add" not in found.makers
    # mov edi,[rsi]; call __kmalloc
    computes = "8b3e 909090 e8f6efffff"
    found = collected(monkeypatch, fill, "c3", computes, bend="f", __kmalloc="f", add="__kmalloc")
    assert isinstance(found, WriterLimits)
    assert "add" in found.makers
