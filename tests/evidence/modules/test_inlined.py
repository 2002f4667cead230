"""Which inlined functions make a function's calls."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from oopsight.evidence.modules.inlined import inlined_callers
from oopsight.evidence.modules.module_code import ModuleFunction

START, FREE = 0xFFFFFFFFC0400000, 0xFFFFFFFFC0500000
IOCTL = ModuleFunction("cp_ioctl", START, frozenset({"kfree"}), frozenset(), False)
CALL = b"\xe8" + (FREE - START - 5).to_bytes(4, "little") + b"\xc3"
HERE = "/usr/src/dkms/ctxpool.c"


class Kernel:
    """One function, which calls ``kfree()`` at its beginning."""

    def __init__(self, *places: tuple[str, str]) -> None:
        self.places = places

    def read(self, address: int, size: int) -> bytes:
        return CALL[address - START :][:size].ljust(size, b"\0")

    def symbol(self, which: Any) -> Any:
        known = {START: ("cp_ioctl", START, len(CALL)), "kfree": ("kfree", FREE, 64)}
        if which not in known:
            raise LookupError(which)
        name, address, size = known[which]
        return SimpleNamespace(name=name, address=address, size=size)

    def source_location(self, address: int) -> Any:
        if not self.places or address != START:
            raise LookupError(address)
        return [SimpleNamespace(name=lambda n=n: n, filename=f) for n, f in self.places]


@pytest.mark.parametrize(
    ("places", "found"),
    [
        ((("cp_free", HERE), ("cp_create", HERE), ("cp_ioctl", HERE)), ("cp_create",)),
        ((("kfree_wrap", "/usr/src/linux/include/linux/slab.h"), ("cp_ioctl", HERE)), ()),
        ((("cp_ioctl", HERE),), ()),
        ((), ()),
    ],
)
def test_the_function_that_the_outer_one_calls_in_its_source(
    places: tuple[tuple[str, str], ...], found: tuple[str, ...]
) -> None:
    session: Any = SimpleNamespace(prog=Kernel(*places))
    pairs = inlined_callers(session, [IOCTL], ("kfree",))
    assert pairs == tuple(("cp_ioctl", name) for name in found)
