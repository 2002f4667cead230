"""ORC: how to get from a function's frame to its caller's, from the kernel's own tables (x86-64).

drgn unwinds by the same tables, and makes an object of each frame. Here are the bare rules, for
those who unwind ten thousands of stacks: arch/x86/include/asm/orc_types.h,
arch/x86/kernel/unwind_orc.c.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.walk import MOST_MODULES, each_once

if TYPE_CHECKING:
    from drgn import Program

# ORC_REG_*. Those of RSP and of the caller's RSP were numbered anew between Linux 6.12 and 7.2, and
# nothing but the rows tells which numbers a kernel has: RSP is what most frames are counted from.
_REG_UNDEFINED, _REG_BP = 0, 4
_PREV_SP_BY_SP = {5: 1, 3: 8}
_ROW = struct.Struct("<hhH")
_ENTRY = _ROW.size
_SAMPLE = 4096
_MOST_ENTRIES = 1 << 24
_RETURN_ADDRESS = 8
# struct pt_regs by 8-byte words (arch/x86/include/asm/ptrace.h)
_REGS_IP, _REGS_CS, _REGS_SP = 16, 17, 19
_REGS_WORDS = 21
_USER = 3
# struct inactive_task_frame (arch/x86/include/asm/switch_to.h): r15 r14 r13 r12 bx bp ret_addr
_INACTIVE_BP, _INACTIVE_RETURN = 5, 6
_INACTIVE_BYTES = 56
MOST_FRAMES = 512


class Kind(enum.Enum):
    """What lies behind a frame."""

    CALL = enum.auto()
    """The caller's frame."""
    REGS = enum.auto()
    """A ``struct pt_regs``: an entry from user space, or an exception."""
    END = enum.auto()
    """Nothing: the stack begins here."""


# Linux 6.4 made `end` a type, and counted the others on (commit fb799447ae29).
_KINDS_WITH_END = {0: Kind.CALL, 1: Kind.REGS}
_KINDS = {1: Kind.END, 2: Kind.CALL, 3: Kind.REGS}


@dataclass(frozen=True)
class Rule:
    """How to leave a frame."""

    kind: Kind
    from_bp: bool
    """The frame's end is counted from RBP, else from RSP."""
    offset: int
    """To the frame's end, in bytes."""
    bp_from_end: int | None
    """Where the caller's RBP is saved, counted from the frame's end; ``None``: it is as it is."""


@dataclass(frozen=True)
class _Table:
    """Rows of the kernel, or of one module."""

    ips: int
    entries: int
    count: int
    first: int
    """The lowest address that it has a rule for, and that is still its own."""


@dataclass(frozen=True)
class Layout:
    """What the bits of a row mean to one kernel."""

    bits: Mapping[str, tuple[int, int]]
    """Of each field the shift within the row's last two bytes, and the mask."""
    sp: int
    """The number of RSP."""

    @classmethod
    def of(cls, bits: Mapping[str, tuple[int, int]], sample: bytes) -> Layout:
        """Tell from some rows how registers are numbered.

        :param sample: rows of a kernel, one behind the other
        """
        shift, mask = bits["sp_reg"]
        numbers = [flags >> shift & mask for _, _, flags in _ROW.iter_unpack(sample)]
        return cls(bits, max(_PREV_SP_BY_SP, key=numbers.count))

    def is_defined(self, row: bytes) -> bool:
        """Whether a row says anything of the caller's frame."""
        shift, mask = self.bits["sp_reg"]
        return bool(_ROW.unpack(row)[2] >> shift & mask != _REG_UNDEFINED)

    def decode(self, row: bytes) -> Rule | None:
        """The rule that a row says; ``None`` where it is not a simple one."""
        sp_offset, bp_offset, flags = _ROW.unpack(row)
        field = {name: flags >> shift & mask for name, (shift, mask) in self.bits.items()}
        kinds = _KINDS_WITH_END if "end" in self.bits else _KINDS
        kind = Kind.END if field.get("end") else kinds.get(field["type"])
        if kind is Kind.END:
            return Rule(Kind.END, False, 0, None)
        prev_sp = _PREV_SP_BY_SP[self.sp]
        if kind is None or field["sp_reg"] not in (self.sp, _REG_BP):
            return None
        if field["bp_reg"] not in (_REG_UNDEFINED, prev_sp):
            return None
        saved = bp_offset if field["bp_reg"] == prev_sp else None
        return Rule(kind, field["sp_reg"] == _REG_BP, sp_offset, saved)


class OrcRules:
    """The rules of one kernel; each program counter is looked up once.

    Rules of frames that drgn itself is needed for (rare registers, several stacks) are ``None``.
    """

    def __init__(self, prog: Program) -> None:
        """Find the tables.

        :raises LookupError: if the kernel has no ORC
        :raises drgn.FaultError: if its tables cannot be read
        """
        self.prog = prog
        entry = prog.type("struct orc_entry")
        if entry.size != _ENTRY:
            raise LookupError("struct orc_entry has another layout")
        bits = {
            str(member.name): (member.bit_offset - 32, (1 << (member.bit_field_size or 0)) - 1)
            for member in entry.members or ()
            if member.name in ("sp_reg", "bp_reg", "type", "end")
        }
        self._tables = sorted(self._find_tables(), key=lambda table: table.first)
        largest = max(self._tables, key=lambda table: table.count)
        sample = prog.read(largest.entries, _ENTRY * min(largest.count, _SAMPLE))
        self._layout = Layout.of(bits, sample)
        self._memo: dict[int, Rule | None] = {}

    def _find_tables(self) -> Iterator[_Table]:
        start, stop, entries = (
            self.prog.symbol(name).address
            for name in ("__start_orc_unwind_ip", "__stop_orc_unwind_ip", "__start_orc_unwind")
        )
        yield self._table(start, entries, (stop - start) // 4)
        from drgn import FaultError
        from drgn.helpers.linux.module import for_each_module, module_address_regions

        try:
            for module in each_once(for_each_module(self.prog), MOST_MODULES):
                arch = module.arch
                count = int(arch.num_orcs.value_())
                if count:
                    ips, rows = arch.orc_unwind_ip.value_(), arch.orc_unwind.value_()
                    # Rows for its initialisation stay: another may lie there by now.
                    own = min(start for start, size in module_address_regions(module) if size)
                    yield self._table(ips, rows, count, own)
        except (FaultError, AttributeError, LookupError, ValueError):
            return  # frames in modules behind this one are left to drgn

    def _table(self, ips: int, entries: int, count: int, own: int = 0) -> _Table:
        if not 0 < count <= _MOST_ENTRIES:
            raise LookupError("no rows of ORC")
        return _Table(ips, entries, count, max(own, self._ip(ips, 0)))

    def _ip(self, ips: int, index: int) -> int:
        at = ips + 4 * index
        (relative,) = struct.unpack("<i", self.prog.read(at, 4))
        return int((at + relative) & ((1 << 64) - 1))

    def rule(self, address: int) -> Rule | None:
        """The rule at an address within a function.

        :raises drgn.FaultError: if the tables cannot be read
        """
        if address not in self._memo:
            self._memo[address] = self._find(address)
        return self._memo[address]

    def covers(self, address: int) -> bool:
        """Whether there is any rule at an address; drgn follows RBP where there is none.

        :raises drgn.FaultError: if the tables cannot be read
        """
        row = self._row(address)
        return row is not None and self._layout.is_defined(row)

    def _find(self, address: int) -> Rule | None:
        row = self._row(address)
        return None if row is None else self._layout.decode(row)

    def _row(self, address: int) -> bytes | None:
        table = next((t for t in reversed(self._tables) if t.first <= address), None)
        if table is None:
            return None
        low, high = 0, table.count
        while high - low > 1:
            middle = (low + high) // 2
            if self._ip(table.ips, middle) <= address:
                low = middle
            else:
                high = middle
        row: bytes = self.prog.read(table.entries + _ENTRY * low, _ENTRY)
        return row


def calls(
    words: tuple[int, ...], base: int, rule_at: Callable[[int], Rule | None]
) -> list[tuple[int, int]] | None:
    """Unwind a task that sleeps.

    :param words: its stack from ``thread.sp`` to the end
    :param base: ``thread.sp``
    :param rule_at: the rule at an address; what it raises ends the walk
    :return: program counter and stack pointer of each call, the user's as the last where the stack
        leads there; ``None`` where a frame is not one of the simple ones
    """
    size = 8 * len(words)
    if size < _INACTIVE_BYTES:
        return None
    bp, pc = words[_INACTIVE_BP], words[_INACTIVE_RETURN]
    at = _INACTIVE_BYTES  # the stack pointer, counted from the base
    found = []
    for _ in range(MOST_FRAMES):
        found.append((pc, base + at))
        rule = rule_at(pc - 1)
        if rule is None:
            return None
        if rule.kind is Kind.END:
            return found
        end = (bp - base if rule.from_bp else at) + rule.offset
        if not at <= end <= size or end & 7:
            return None
        if rule.kind is Kind.REGS:
            return _to_user(words, end // 8, found)
        pc = words[(end - _RETURN_ADDRESS) // 8]
        if rule.bp_from_end is not None:
            place = end + rule.bp_from_end
            if not 0 <= place < size or place & 7:
                return None
            bp = words[place // 8]
        at = end
    return None


def _to_user(
    words: tuple[int, ...], at: int, found: list[tuple[int, int]]
) -> list[tuple[int, int]] | None:
    if at + _REGS_WORDS > len(words) or words[at + _REGS_CS] & _USER != _USER:
        return None
    return [*found, (words[at + _REGS_IP], words[at + _REGS_SP])]
