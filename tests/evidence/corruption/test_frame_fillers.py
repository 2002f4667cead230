"""Who was handed an address in a damaged frame, on code assembled by hand."""

from __future__ import annotations

from dataclasses import replace

import handmade_facts as made
import pytest
from handmade_machine import TEXT
from handmade_machine import Machine as Code
from handmade_session import Machine

from oopsight.evidence import Address, Missing
from oopsight.evidence.corruption import frame_fillers
from oopsight.evidence.corruption.frame_fillers import Filler, FrameFillers, HandedOn, collect
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.modules import Modules

MODULES = made.modules(made.module("trace", TEXT, TEXT + 0x3000, "O"))
TRACE = made.backtrace(interrupted=False, __stack_chk_fail=Role.CALLER, show=Role.CALLER)
# sub rsp,40; mov rax,gs:[40]; mov [rsp+32],rax
BEGIN = "4883ec28 65488b042528000000 4889442420"
# lea rdi,[rsp+8]; mov esi,24; call put
HANDS = "488d7c2408 be18000000 e8df0f0000 90"
# 1: mov [rdi],al; inc rdi; dec rsi; jne 1b; ret
BY_COUNT = "8807 48ffc7 48ffce 75f6 c3"
# 1: mov al,[rsi]; mov [rdi],al; inc rdi; inc rsi; test al,al; jne 1b; ret
TO_THE_END = "8a06 8807 48ffc7 48ffc6 84c0 75f2 c3"


def fillers(monkeypatch: pytest.MonkeyPatch, show: str, put: str) -> tuple[Filler, ...]:
    return of_frame(monkeypatch, show, put).fillers


def of_frame(
    monkeypatch: pytest.MonkeyPatch,
    show: str,
    put: str,
    modules: Modules = MODULES,
    called: str = "put",
) -> FrameFillers:
    code = Code(show, put)
    code.names = ["show", called]
    inner = [
        ModuleFunction(called, code.start(1), frozenset(), frozenset(), copies=True),
        ModuleFunction("show", code.start(0), frozenset({"put"}), frozenset(), copies=False),
    ]
    monkeypatch.setattr(frame_fillers, "SessionReader", lambda _: code)
    monkeypatch.setattr(
        frame_fillers,
        "inner_functions",
        lambda _, module, *__: [one for one in inner if module.holds(one.start)],
    )
    at = Address(TEXT + len(code.code[0]))
    frames = (TRACE.frames[0], replace(TRACE.frames[1], pc=at, module="trace"))
    found = collect(Machine().session, replace(TRACE, frames=frames), modules)
    assert isinstance(found, FrameFillers)
    assert found.function == "show"
    return found


def test_how_far_a_helper_was_told_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = fillers(monkeypatch, BEGIN + HANDS, BY_COUNT)
    assert one == Filler("put", "trace", room=24, most=24, limited=True)


def test_a_helper_may_know_a_limit_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    # lea rdi,[rsp+8]; mov rsi,[rbx]; call put
    hands_on = "488d7c2408 488b33 9090 e8df0f0000 90"
    # cmp rsi,23; ja 1f; 2: mov [rdi],al; inc rdi; dec rsi; jne 2b; 1: ret
    checks = "4883fe17 770a 8807 48ffc7 48ffce 75f6 c3"
    (one,) = fillers(monkeypatch, BEGIN + hands_on, checks)
    assert (one.room, one.most) == (24, 23)
    (one,) = fillers(monkeypatch, BEGIN + hands_on, BY_COUNT)
    assert one.most is None


def test_a_helper_may_have_no_limit_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = fillers(monkeypatch, BEGIN + HANDS, TO_THE_END)
    assert (one.most, one.limited) == (None, False)


def test_what_is_handed_other_memory_fills_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    # mov rdi,[rbx]; mov esi,24; call put
    elsewhere = "488b3b90 90 be18000000 e8df0f0000 90"
    assert not fillers(monkeypatch, BEGIN + elsewhere, BY_COUNT)


TWO = made.modules(
    made.module("trace", TEXT, TEXT + 0x1000, "O"),
    made.module("bus", TEXT + 0x1000, TEXT + 0x2000, "O"),
)
ALONE = made.modules(made.module("trace", TEXT, TEXT + 0x1000, "O"))


def test_a_frame_lent_to_another_module_or_to_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    found = of_frame(monkeypatch, BEGIN + HANDS, BY_COUNT, TWO)
    assert (found.fillers, found.fills) == ((), False)
    assert [(r.function, r.module, r.writers) for r in found.receivers] == [
        ("put", "bus", ("put",))
    ]
    found = of_frame(monkeypatch, BEGIN + HANDS, BY_COUNT, ALONE)
    assert [(r.function, r.module, r.writers) for r in found.receivers] == [("put", None, ())]
    # lea rdi,[rsp+8]; mov esi,24; call rax
    pointer = BEGIN + "488d7c2408 be18000000 ffd0 90"
    (one,) = of_frame(monkeypatch, pointer, BY_COUNT, ALONE).receivers
    assert (one.function, one.module) == (None, None)
    # Other memory is no part of the frame.
    elsewhere = BEGIN + "488b3b90 90 be18000000 e8df0f0000 90"
    assert not of_frame(monkeypatch, elsewhere, BY_COUNT, TWO).receivers
    # The module's own is told elsewhere.
    assert not of_frame(monkeypatch, BEGIN + HANDS, BY_COUNT).receivers


def test_what_copies_or_serves_everybody_has_nobody_else_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, fills in (("memcpy", True), ("mutex_lock", False), ("__stack_chk_fail", False)):
        found = of_frame(monkeypatch, BEGIN + HANDS, BY_COUNT, ALONE, called=name)
        assert (found.receivers, found.fills) == ((), fills)
    # mov [rsp+rcx+8],al; lea rdi,[rsp+8]; call rax
    stores = BEGIN + "88440c08 488d7c2408 ffd0 90"
    assert of_frame(monkeypatch, stores, BY_COUNT, ALONE).fills


@pytest.mark.parametrize(
    ("passes", "found"),
    [
        # lea rdi,[rdi+8]; call put; ret
        ("488d7f08 e8f70f0000 c3", True),
        # mov rdi,[rdi+8]; call put; ret: what lies there is no part of the frame
        ("488b7f08 e8f70f0000 c3", False),
    ],
)
def test_a_helper_may_hand_the_frame_on(
    monkeypatch: pytest.MonkeyPatch, passes: str, *, found: bool
) -> None:
    put = Filler("put", "trace", room=16, most=None, limited=True)
    assert handed_on(monkeypatch, passes, BY_COUNT) == (
        (HandedOn("pass", (put,)),) if found else ()
    )


def test_a_helper_may_hand_it_on_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    # lea rdi,[rdi+8]; mov esi,16; call next; ret
    first = "488d7f08 be10000000 e8f20f0000 c3"
    # add rdi,4; mov esi,12; call put; ret
    (one,) = handed_on(monkeypatch, first, "4883c704 be0c000000 e8f20f0000 c3", BY_COUNT)
    put = Filler("put", "trace", room=12, most=12, limited=True)
    assert one == HandedOn("pass1", (put,))


def handed_on(monkeypatch: pytest.MonkeyPatch, *functions: str) -> tuple[HandedOn, ...]:
    """Of functions that call each other, the last of which writes."""
    code = Code(BEGIN + HANDS, *functions)
    passing = [f"pass{number or ''}" for number in range(len(functions) - 1)]
    code.names = ["show", *passing, "put"]
    start = code.start(len(functions))
    put = ModuleFunction("put", start, frozenset(), frozenset(), copies=True)
    monkeypatch.setattr(frame_fillers, "SessionReader", lambda _: code)
    monkeypatch.setattr(frame_fillers, "inner_functions", lambda *_: [put])
    at = Address(TEXT + len(code.code[0]))
    frames = (TRACE.frames[0], replace(TRACE.frames[1], pc=at, module="trace"))
    made_of = collect(Machine().session, replace(TRACE, frames=frames), MODULES)
    assert isinstance(made_of, FrameFillers)
    return made_of.handed_on


def test_other_crashes_have_no_damaged_frame() -> None:
    assert isinstance(collect(Machine().session, made.backtrace(), MODULES), Missing)
