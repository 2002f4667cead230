"""A function's instructions and the ways through them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from oopsight.cheap import dataclass, field, replace
from oopsight.evidence.flow.instructions import (
    MOST_INSTRUCTIONS,
    Instruction,
    Memory,
    Operand,
    decode,
)

# No kernel function that matters is longer; a hostile symbol table could claim any size.
LONGEST_FUNCTION = 64 << 10
MOST_VISITED = 4000
"""Instructions that are looked at on the ways from one to another."""
_RETURN_ADDRESS = 8
_COUNTS = {"add": 1, "inc": 1, "sub": -1, "dec": -1}
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Function:
    """A function's code with its control flow; instructions are known by their index."""

    name: str
    start: int
    instructions: tuple[Instruction, ...]
    before: tuple[tuple[int, ...], ...] = field(repr=False)
    """For each instruction, those which may have been carried out just before it."""
    after: tuple[tuple[int, ...], ...] = field(repr=False)
    depth: tuple[int | None, ...] = field(repr=False)
    """Bytes by which the stack pointer lies below the frame's base (the value it has after the
    function's return) before each instruction; ``None`` where that is not known."""
    frame_pointer: tuple[int | None, ...] = field(repr=False)
    """The same of ``rbp``, where it holds an address in the frame."""

    def index(self, address: int) -> int | None:
        """Index of the instruction that begins at an address."""
        return self._indices.get(address)

    @functools.cached_property
    def _indices(self) -> dict[int, int]:
        return {row.address: index for index, row in enumerate(self.instructions)}

    @functools.cached_property
    def alignment(self) -> int:
        """What the function aligns its frame to, bytes; 0 if it does not."""
        for row in self.instructions:
            if row.mnemonic == "and" and row.operands[0].register == "rsp":
                mask = row.operands[1].immediate
                return 0 if mask is None else -mask & _MASK
        return 0

    @functools.cached_property
    def counts(self) -> tuple[tuple[int, Memory, int], ...]:
        """Instructions that add a number to memory: which, to what, and how much."""
        found = []
        for index, row in enumerate(self.instructions):
            sign = _COUNTS.get(row.mnemonic)
            memory = row.operands[0].memory if sign is not None and row.operands else None
            more = row.operands[1].immediate if len(row.operands) > 1 else 1
            if sign is not None and memory is not None and more is not None:
                found.append((index, memory, sign * more))
        return tuple(found)

    def aligned(self, skipped: int) -> Function:
        """As this, where its frame was aligned by skipping so many bytes."""
        depth, frame_pointer = _stack(self.instructions, self.after, skipped)
        return replace(self, depth=depth, frame_pointer=frame_pointer)


def _returns(_: int) -> bool:
    return True


def function(
    name: str, *parts: tuple[int, bytes], returns: Callable[[int], bool] = _returns
) -> Function:
    """Decode a function, from its first byte on so that the instructions are in step.

    :param parts: address and code, the entry's part first; compilers move what is seldom carried
        out to a part of its own (``NAME.cold``)
    :param returns: whether what is called at an address ever returns
    """
    start = parts[0][0]
    rows = tuple(row for at, code in parts for row in decode(code[:LONGEST_FUNCTION], at))
    indices = {row.address: index for index, row in enumerate(rows)}
    after: list[list[int]] = [[] for _ in rows]
    tables: list[int] = []
    for index, row in enumerate(rows):
        goes_on = row.falls_through and not (
            row.is_call and row.target is not None and not returns(row.target)
        )
        if goes_on and index + 1 < len(rows) and row.end == rows[index + 1].address:
            after[index].append(index + 1)
        if row.is_jump:
            target = None if row.target is None else indices.get(row.target)
            if target is not None:
                after[index].append(target)
            elif row.target is None:
                tables.append(index)
    before: list[list[int]] = [[] for _ in rows]
    for index, following in enumerate(after):
        for other in following:
            before[other].append(index)
    # What nothing leads to is reached by a jump through a table, if there is one.
    if tables:
        for index in range(1, len(rows)):
            if not before[index] and rows[index].mnemonic not in ("nop", "int3"):
                before[index].extend(tables)
                for table in tables:
                    after[table].append(index)
    depth, frame_pointer = _stack(rows, after)
    return Function(
        name=name,
        start=start,
        instructions=rows,
        before=tuple(map(tuple, before)),
        after=tuple(map(tuple, after)),
        depth=depth,
        frame_pointer=frame_pointer,
    )


def _stack(
    rows: tuple[Instruction, ...], after: Sequence[Sequence[int]], skipped: int | None = None
) -> tuple[tuple[int | None, ...], tuple[int | None, ...]]:
    """Follow the stack pointer forwards from the entry; where two ways disagree it is unknown.

    :param skipped: by how much ``and rsp, -64`` moves it
    """
    states: list[tuple[int | None, int | None] | None] = [None] * len(rows)
    if rows:
        states[0] = (_RETURN_ADDRESS, None)
    work = [0] if rows else []
    rounds = 0
    while work and rounds < 8 * MOST_INSTRUCTIONS:
        rounds += 1
        index = work.pop()
        state = states[index]
        if state is None:
            continue
        left = _stack_after(rows[index], *state, skipped)
        for other in after[index]:
            known = states[other]
            if known is None:
                states[other] = left
                work.append(other)
            elif known != left:
                merged = (
                    known[0] if known[0] == left[0] else None,
                    known[1] if known[1] == left[1] else None,
                )
                if merged != known:
                    states[other] = merged
                    work.append(other)
    return (
        tuple(state[0] if state else None for state in states),
        tuple(state[1] if state else None for state in states),
    )


def _stack_after(
    row: Instruction, depth: int | None, frame: int | None, skipped: int | None
) -> tuple[int | None, int | None]:
    """Depth of ``rsp`` and of ``rbp`` after an instruction."""
    first = row.operands[0] if row.operands else Operand()
    second = row.operands[1] if len(row.operands) > 1 else Operand()
    if "rbp" in row.written and row.mnemonic != "leave":
        if row.mnemonic == "mov" and second.register == "rsp":
            return depth, depth
        frame = None
        if row.mnemonic == "lea" and second.memory and second.memory.base == "rsp":
            plain = depth is not None and not second.memory.index
            frame = depth - second.memory.displacement if depth is not None and plain else None
    if row.mnemonic == "leave":
        return (None if frame is None else frame - 8), None
    if "rsp" not in row.written or row.is_call:
        return depth, frame
    if depth is None:
        if row.mnemonic == "mov" and first.register == "rsp" and second.register == "rbp":
            return frame, frame
        return None, frame
    if row.mnemonic in ("push", "pushfq"):
        return depth + 8, frame
    if row.mnemonic in ("pop", "popfq"):
        return (None if first.register == "rsp" else depth - 8), frame
    if first.register == "rsp" and second.immediate is not None:
        amount = second.immediate - (1 << 64) if second.immediate >> 63 else second.immediate
        if row.mnemonic == "sub":
            return depth + amount, frame
        if row.mnemonic == "add":
            return depth - amount, frame
        if row.mnemonic == "and" and skipped is not None:
            return depth + skipped, frame
    if row.mnemonic == "mov" and second.register == "rbp":
        return frame, frame
    if row.mnemonic == "lea" and second.memory and not second.memory.index:
        if second.memory.base == "rsp":
            return depth - second.memory.displacement, frame
        if second.memory.base == "rbp" and frame is not None:
            return frame - second.memory.displacement, frame
    return None, frame


def leads_to(code: Function, index: int, other: int, *, past: int | None = None) -> bool:
    """Whether one instruction may be carried out some time after another.

    :param past: one that is not carried out in between
    """
    seen = {index} if past is None else {index, past}
    work = [index]
    while work and len(seen) < MOST_VISITED:
        for following in code.after[work.pop()]:
            if following == other and following != past:
                return True
            if following not in seen:
                seen.add(following)
                work.append(following)
    return False


def repeated(code: Function, index: int) -> bool:
    """Whether an instruction can have been carried out several times in one call."""
    return index >= 0 and leads_to(code, index, index)
