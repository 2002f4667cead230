"""Keeps the pages of a dump that are read, by putting itself between drgn and the file."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from oopsight.dump import DumpInfo
from oopsight.lost_vmcoreinfo import program
from oopsight.session import RECORDER

if TYPE_CHECKING:
    from drgn import Program

PAGE = 4096
_PHYSICAL = 1 << 52  # x86-64's most physical address bits
_HALF = 1 << 63


class Recorder:
    """The pages that a program reads.

    Two more programs on the same file stand behind it. One reads the file; the other walks the page
    tables, its physical memory being this recorder, so that whatever a virtual address needs is
    kept as well: the tables on the way and the page itself.
    """

    def __init__(self) -> None:
        self.pages: dict[int, bytes] = {}
        """By page frame number."""
        self.recording = True
        self._raw: Program | None = None
        self._walker: Program | None = None
        self._virtual: dict[int, bytes] = {}

    def watch(self, prog: Program, info: DumpInfo) -> None:
        """Have a program that has just been given its dump read through this recorder."""
        import drgn

        raw = program(info)
        raw.set_core_dump(info.path)
        walker = drgn.Program(prog.platform)
        walker.add_memory_segment(0, _PHYSICAL, self._read_physical, True)
        walker.set_linux_kernel_custom(info.vmcoreinfo.raw, False)
        self._raw, self._walker = raw, walker
        prog.cache[RECORDER] = self
        logging.getLogger("drgn").setLevel(logging.ERROR)
        prog.add_memory_segment(0, _PHYSICAL, self._read_physical, True)
        for start in (0, _HALF):
            prog.add_memory_segment(start, _HALF - 1, self._read_virtual, False)

    def _page(self, frame: int) -> bytes:
        page = self.pages.get(frame)
        if page is None:
            assert self._raw is not None  # noqa: S101  # watch() is what registers the callbacks
            page = self._raw.read(frame * PAGE, PAGE, True)
            if self.recording:
                self.pages[frame] = page
        return page

    def _virtual_page(self, number: int) -> bytes:
        page = self._virtual.get(number)
        if page is None:
            assert self._walker is not None  # noqa: S101
            page = self._walker.read(number * PAGE, PAGE)
            if self.recording:
                self._virtual[number] = page
        return page

    def _read_physical(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        del offset, physical
        first, last = address // PAGE, (address + count - 1) // PAGE
        if first == last:
            at = address % PAGE
            return self._page(first)[at : at + count]
        whole = b"".join(self._page(frame) for frame in range(first, last + 1))
        return whole[address % PAGE :][:count]

    def _read_virtual(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        del offset, physical
        first, last = address // PAGE, (address + count - 1) // PAGE
        if first == last:
            at = address % PAGE
            return self._virtual_page(first)[at : at + count]
        whole = b"".join(self._virtual_page(number) for number in range(first, last + 1))
        return whole[address % PAGE :][:count]
