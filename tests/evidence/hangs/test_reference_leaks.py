"""Which modules are searched for references that are kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import handmade_facts as made
import pytest
from handmade_machine import TEXT
from handmade_machine import Machine as Code
from handmade_session import Machine
from handmade_waits import LOCK_A, lock, stack, symptom, waits
from handmade_waits import call as frame

from oopsight.evidence import Missing
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.hangs import reference_leaks
from oopsight.evidence.hangs.reference_leaks import ReferenceLeaks, collect
from oopsight.evidence.hangs.waiting import Wait
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.kinds import Kind

DRIVER = made.modules(made.module("drv", TEXT, TEXT + 0x2000, "OE"))
HUNG = symptom(Kind.HUNG_TASK)
# call find; test rax,rax; je 3f; cmp [rax+0x10],0; mov rdi,rax; je 2f; call kobject_put;
# xor eax,eax; ret; 2: mov eax,-19; ret; 3: mov eax,-2; ret
GROW = "e8fb0f0000 4885c0 7417 80781000 4889c7 7408 e8e81f0000 31c0 c3 b8edffffff c3 b8feffffff c3"
# call kobject_get; mov rax,rdi; ret
FIND = "e8fb1f0000 4889f8 c3"


def found(monkeypatch: pytest.MonkeyPatch, kind: str) -> ReferenceLeaks | Missing:
    code = Code(GROW, FIND, "c3", "c3")
    code.names = ["grow.part.0", "find", "kobject_put", "kobject_get"]
    inner = [
        ModuleFunction(name, code.start(i), frozenset(), frozenset(), copies=False)
        for i, name in enumerate(code.names[:2])
    ]
    monkeypatch.setattr(reference_leaks, "SessionReader", lambda _: code)
    monkeypatch.setattr(reference_leaks, "inner_functions", lambda *_: inner)
    waiting = Wait(stack(1, frame(3, "drop")), lock(LOCK_A, kind=kind), 9.0)
    return collect(Machine().session, HUNG, waits(waiting), DRIVER)


def test_the_module_that_waits_for_a_completion(monkeypatch: pytest.MonkeyPatch) -> None:
    one = found(monkeypatch, "completion")
    assert isinstance(one, ReferenceLeaks)
    (leak,) = one.of("drv")
    assert (leak.function, leak.error) == ("grow", -19)
    assert (leak.taken_at, leak.returns_at) == ("grow.part.0+0x0", "grow.part.0+0x20")
    assert one.of("other") == ()


def test_a_lock_is_no_matter_of_references(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, "mutex") == ReferenceLeaks(())
    assert isinstance(collect(Machine().session, symptom(Kind.OOM), made.ABSENT, DRIVER), Missing)


# lock inc [rip+count]; call find; test eax,eax; jne 2f; ret; 2: lock dec [rip+count]; ret
SEND = "f0ff05f91f0000 e8f4ef0000 85c0 7501 c3 f0ff0de81f0000 c3"


@pytest.mark.parametrize(
    ("outside", "silent"),
    [({"kfree"}, True), ({"kfree", "complete"}, False), ({"__x86_indirect_thunk_rax"}, False)],
)
def test_a_count_whose_last_nobody_waits_for(outside: set[str], *, silent: bool) -> None:
    """``done()`` takes down what ``send()`` raises, and frees the request."""
    code = Code(SEND, "f0ff0df90f0000 c3")  # the same, but for the first two
    send, done = (
        ModuleFunction(name, code.start(at), frozenset(calls), frozenset(), copies=False)
        for at, (name, calls) in enumerate({"send": {"find"}, "done": outside}.items())
    )
    functions = SimpleNamespace(code=lambda start: Calls(code, (), {}).function(start))
    found = reference_leaks._silent(cast("Any", functions), [send, done])
    assert bool(found) is silent
