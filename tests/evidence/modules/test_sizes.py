"""How large the objects are that functions free."""

from __future__ import annotations

from oopsight.evidence.modules.sizes import FunctionSizes


def test_what_can_be_in_an_object_of_the_allocator_s() -> None:
    reader = FunctionSizes("release", (264,))
    assert reader.fits(512)
    assert not reader.fits(256)
    assert not reader.fits(1024)
    # Something of the object lies further than that.
    assert reader.fits(512, 0x100)
    assert not reader.fits(512, 0x148)
