from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any, cast

import drgn
import pytest
from handmade_memory import BASE, Kernel

from oopsight.evidence.crash import cpu_registers
from oopsight.evidence.crash.cpu_registers import panic_registers
from oopsight.session import Session


def _note(kind: int, content: bytes, name: bytes = b"CORE\0") -> bytes:
    header = struct.pack("<III", len(name), len(content), kind)
    return header + _padded(name) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // 4) * 4, b"\0")


def _of_a_cpu(ip: int, sp: int) -> bytes:
    return _note(1, bytes(112) + struct.pack("<QQ", ip, sp) + bytes(4))


def _session(monkeypatch: pytest.MonkeyPatch, notes: bytes, panic_cpu: int) -> Session:
    kernel = Kernel()
    kernel.struct("pt_regs", ip=kernel.word, sp=kernel.word)
    kernel.struct("atomic_t", counter=kernel.prog.int_type("int", 4, True))
    kernel.put(BASE, panic_cpu & 0xFFFFFFFF)
    made = drgn.Object(kernel.prog, kernel.type("atomic_t"), address=BASE)

    def find(prog: drgn.Program, name: str, flags: object, file: str | None) -> Any:
        return made if name == "panic_cpu" else None

    kernel.prog.register_object_finder("made", find, enable_index=0)
    monkeypatch.setattr(cpu_registers, "raw_notes", lambda _: notes)
    return cast("Session", SimpleNamespace(prog=kernel.prog, info=None))


def test_the_registers_are_those_of_the_cpu_that_panicked(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = (
        _of_a_cpu(0x1000, 0x2000)
        + _note(0, b"OSRELEASE=6", b"VMCOREINFO\0")
        + _of_a_cpu(0x3000, 0x4000)
    )
    registers = panic_registers(_session(monkeypatch, notes, 1))
    assert registers is not None
    assert (registers.ip.value_(), registers.sp.value_()) == (0x3000, 0x4000)


@pytest.mark.parametrize("panic_cpu", [-1, 1, 7])
def test_without_such_a_cpu_there_are_none(monkeypatch: pytest.MonkeyPatch, panic_cpu: int) -> None:
    assert panic_registers(_session(monkeypatch, _of_a_cpu(1, 2), panic_cpu)) is None


@pytest.mark.parametrize("cut", [3, 12, 40, 130])
def test_a_note_that_is_cut_off_gives_none(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    assert panic_registers(_session(monkeypatch, _of_a_cpu(1, 2)[:cut], 0)) is None


@pytest.mark.parametrize(
    ("online", "ip"),
    [
        # CPU 1 is offline, and has no note.
        ([0, 2], 0x3000),
        # All have notes, be they online or stopped.
        ([0, 1, 2, 3], 0),
        ([2], 0),
    ],
)
def test_notes_of_cpus_that_are_offline_may_be_left_out(
    monkeypatch: pytest.MonkeyPatch, online: list[int], ip: int
) -> None:
    monkeypatch.setattr("drgn.helpers.linux.cpumask.for_each_online_cpu", lambda _: iter(online))
    two = _of_a_cpu(0x1000, 0x2000) + _of_a_cpu(0x3000, 0x4000)
    registers = panic_registers(_session(monkeypatch, two, 2))
    assert (registers.ip.value_() if registers is not None else 0) == ip
