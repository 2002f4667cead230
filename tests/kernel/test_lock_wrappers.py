"""A call of a function that takes a lock for its caller takes it; one that gives it back does."""

from __future__ import annotations

from handmade_code import NAMES, START, assemble

from oopsight.kernel.code_locks import Function
from oopsight.kernel.lock_wrappers import as_handed
from oopsight.kernel.machine_code import Expression

STARTS = {"acquire": START, "release": START + 0x40, "try_it": START + 0x80, "run": START + 0xC0}


def _function(name: str, code: bytes, known: dict[int, Function]) -> Function:
    return Function(code, STARTS[name], _name_of, called_at=known.get)


def _name_of(address: int) -> str | None:
    return next((n for n, at in STARTS.items() if at == address), NAMES.get(address))


def _code(name: str, *parts: str) -> bytes:
    """As :func:`assemble`, with calls of the functions above too."""
    code = b""
    for part in parts:
        word, _, called = part.partition(" ")
        target = STARTS.get(called)
        if target is None and word in ("call", "jmp"):
            target = next((at for at, known in NAMES.items() if known == called), None)
        if target is None:
            code += assemble(part)
            continue
        distance = target - (STARTS[name] + len(code) + 5)
        code += (b"\xe8" if word == "call" else b"\xe9") + distance.to_bytes(
            4, "little", signed=True
        )
    return code


def _known() -> dict[int, Function]:
    """acquire(bus) and release(bus), of the mutex at 0x10; try_it(bus) fails with an error."""
    known: dict[int, Function] = {}
    parts = {
        "acquire": ("4883c710", "jmp mutex_lock"),
        "release": ("4883c710", "jmp mutex_unlock"),
        "try_it": (
            "837f0800 7406 b8fbffffff c3 4883ec08 4883c710",
            "call mutex_lock",
            "31c0 4883c408 c3",
        ),
    }
    for name, code in parts.items():
        known[STARTS[name]] = _function(name, _code(name, *code), known)
    return known


def test_who_returns_with_a_lock_that_another_took_for_it() -> None:
    # acquire(&chip->bus); if (error) return; release(&chip->bus)
    run = ("53 488d5f20 4889df", "call acquire", "85ed 7508 4889df", "call release", "5b c3")
    function = _function("run", _code("run", *run), _known())
    (leak,) = function.leaks
    assert (leak.held.kind, leak.held.lock) == ("mutex", Expression("rdi", 0x30))
    assert leak.held.site == STARTS["run"] + 8
    held = function.at(STARTS["run"] + 0xD, calling=False)
    assert held is not None
    assert [one.lock for one in held.held] == [Expression("rdi", 0x30)]
    # Without the others it calls no lock function.
    assert not _function("run", _code("run", *run), {}).leaks


def test_one_that_can_fail_has_taken_it_if_it_returns_zero() -> None:
    # if (try_it(bus)) return; if (error) return; release(bus)
    run = ("53 4889fb", "call try_it", "85c0 750c 85ed 7508 4889df", "call release", "5b c3")
    function = _function("run", _code("run", *run), _known())
    (leak,) = function.leaks
    assert leak.held.lock == Expression("rdi", 0x10)
    whole = [part.replace("85ed 7508", "85ed 9090") for part in run]
    assert not _function("run", _code("run", *whole), _known()).leaks


def test_what_the_callers_name_for_it_is() -> None:
    registers = {"rdi": Expression("rbx", 8)}
    assert as_handed(Expression("rdi", 0x10), registers) == Expression("rbx", 0x18)
    assert as_handed(Expression("", 5), registers) == Expression("", 5)
    inner = as_handed(Expression("[rdi+0x20]", 4), registers)
    assert inner == Expression("[rbx+0x28]", 4)
    assert as_handed(Expression("rsi", 0), registers) is None
