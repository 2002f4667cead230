"""The file whose descriptor a waiting task gave to its system call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from drgn.helpers.linux import fs

from oopsight.evidence import Address
from oopsight.evidence.crash import descriptor
from oopsight.evidence.crash.descriptor import file_of
from oopsight.evidence.pointers import FileReference

IOCTL, CLOSE, MKDIR = 16, 3, 83
FILE = 0xFFFF888000001000


@pytest.mark.parametrize(
    ("call", "path", "named"),
    [
        (IOCTL, "/dev/crane", True),
        (CLOSE, "/dev/crane", False),
        (MKDIR, "/dev/crane", False),
        (IOCTL, "socket:[71]", False),
    ],
)
def test_a_descriptor_leads_to_a_named_file(
    monkeypatch: pytest.MonkeyPatch, call: int, path: str, named: bool
) -> None:
    registers = {"orig_ax": call, "rdi": 5, "r8": 0}
    opened: dict[int, Any] = {5: SimpleNamespace(value_=lambda: FILE)}
    monkeypatch.setattr(descriptor, "registers_of", lambda *_: registers)
    monkeypatch.setattr(descriptor, "file_path", lambda _: path)
    monkeypatch.setattr(fs, "fget", lambda _, number: opened.get(number))
    expected = FileReference(path, 5, Address(FILE)) if named else None
    assert file_of(None, 16384) == expected


def test_a_kernel_thread_is_in_no_system_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptor, "registers_of", lambda *_: None)
    assert file_of(None, 16384) is None
