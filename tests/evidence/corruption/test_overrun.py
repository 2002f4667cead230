from __future__ import annotations

import pytest

from oopsight.evidence.corruption.overrun import run_around


@pytest.mark.parametrize(
    ("data", "border", "found"),
    [
        (b"\0" * 40 + b"a name that is too long" + b"\0" * 40, 50, (40, 63, "text")),
        (b"\x41" * 64, 32, (0, 64, "repeated byte")),
        (b"\xff" * 64, 32, (0, 64, "repeated byte")),
        # What the allocator writes, and memory that was never written, is no overrun.
        (b"\x6b" * 64, 32, None),
        (b"\0" * 64, 32, None),
        (b"\x5a" * 64, 32, None),
        # It must go over the border, and not just touch it.
        (b"text in the first one\0\0\0\0\0\0\0\0\0\0\0" + b"\0" * 32, 32, None),
        (b"\0" * 32 + b"text in the second one\0", 32, None),
        (b"\0" * 30 + b"short" + b"\0" * 30, 32, None),
        (b"", 0, None),
    ],
)
def test_runs(data: bytes, border: int, found: tuple[int, int, str] | None) -> None:
    assert run_around(data, border) == found
