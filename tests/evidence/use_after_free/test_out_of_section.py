"""Who used after a read section what it had got in that, on the way to a crash."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import handmade_facts as made
import pytest
from handmade_code import ADDRESSES, NAMES, START, function
from handmade_session import Machine

from oopsight.cheap import replace
from oopsight.evidence import Address, Missing
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.use_after_free import out_of_section as this
from oopsight.evidence.use_after_free.out_of_section import OutOfSection, collect
from oopsight.kernel.code_locks import Function

MODULE = made.module("qf", START, START + 0x1000, "O")
LOCK, UNLOCK = "call __rcu_read_lock", "call __rcu_read_unlock"
HELPER = ADDRESSES["helper"]
# rbx = [rbx] within the section; unlock; helper(rbx)
READ = function("53 4889fb", LOCK, "488b1b", UNLOCK, "4889df", "call helper", "5b c3")
HELD = function("53 4889fb", LOCK, "488b1b f00fc14338", UNLOCK, "4889df", "call helper", "5b c3")


def frames(code: Function, called: int = HELPER) -> Any:
    """The call of the helper in progress, which has faulted."""
    (at,) = [row.end for row in code.code.values() if row.text == f"{called:#x}"]
    inner = made.frame(0, "qf_format", Role.FAULT, "qf")
    outer = replace(made.frame(1, "qf_read", Role.CALLER, "qf"), pc=Address(at))
    return replace(made.backtrace(), frames=(inner, outer))


def met(
    patch: pytest.MonkeyPatch,
    code: dict[int, Function],
    trace: Any,
    passed: str = "qf_read",
    **uses: FieldUse,
) -> OutOfSection | Missing:
    names = {START: "qf_read", HELPER: "qf_find"}
    enters = frozenset(["__rcu_read_lock"])
    inner = [ModuleFunction(names[at], at, enters, frozenset(), copies=False) for at in code]

    def known(address: int) -> tuple[str, int | None, int]:
        start = next((at for at in code if address in code[at].code or at == address), START)
        return names.get(start, "?"), start if address >= START else None, 0

    reader = SimpleNamespace(
        names=SimpleNamespace(function_at=NAMES.get, code=known), function=code.get
    )
    patch.setattr(this, "StackReader", lambda *_: reader)
    patch.setattr(this, "SessionReader", lambda _: None)
    patch.setattr(this, "inner_functions", lambda *_: inner)
    patch.setattr(this, "uses_of", lambda *_: uses)
    step = made.flow_step("passed", passed, 0x1000, "qf")
    flow = made.data_flow(made.way(step, function="qf_format", module="qf"))
    return collect(Machine().session, trace, made.modules(MODULE), flow)


def test_what_was_got_in_the_section_is_used_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = met(monkeypatch, {START: READ}, frames(READ))
    assert isinstance(found, OutOfSection)
    assert (found.module, found.function, found.helper) == ("qf", "qf_read", False)
    # It has a reference, or the bad pointer did not go that way.
    assert isinstance(met(monkeypatch, {START: HELD}, frames(HELD)), Missing)
    assert isinstance(met(monkeypatch, {START: READ}, frames(READ), "other"), Missing)


def test_a_helper_returns_it(monkeypatch: pytest.MonkeyPatch) -> None:
    body = bytes.fromhex("53 4889fb".replace(" ", ""))
    find = Function(
        body + _call(HELPER + 4, "__rcu_read_lock") + bytes.fromhex("488b1b")
        + _call(HELPER + 12, "__rcu_read_unlock") + bytes.fromhex("4889d85bc3"),
        HELPER,
        NAMES.get,
    )  # fmt: skip
    # Calls the helper, then mutex_lock() with what that returned.
    read = function("53", "call helper", "4889c7", "call mutex_lock", "5b c3")
    trace = frames(read, ADDRESSES["mutex_lock"])
    found = met(monkeypatch, {START: read, HELPER: find}, trace)
    assert isinstance(found, OutOfSection)
    assert (found.function, found.helper) == ("qf_find", True)


def _call(at: int, name: str) -> bytes:
    return b"\xe8" + (ADDRESSES[name] - at - 5).to_bytes(4, "little", signed=True)
