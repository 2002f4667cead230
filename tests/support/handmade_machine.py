"""Functions assembled by hand in memory made by hand, and a fault in one of them."""

from __future__ import annotations

from oopsight.evidence.flow.calls import Calls, PhysicalFrame
from oopsight.evidence.flow.moves import Move

TEXT = 0xFFFFFFFF81000000
STACK = 0xFFFFC90000003F00
OBJECT = 0xFFFF888003400000
BAD = 0x6B6B6B6B6B6B6B6B


class Machine:
    """Functions a page apart, and words of memory."""

    def __init__(self, *functions: str) -> None:
        self.code = [bytes.fromhex(text.replace(" ", "")) for text in functions]
        self.words: dict[int, int] = {}
        self.names = [f"f{number}" for number in range(len(functions))]

    def start(self, number: int) -> int:
        return TEXT + number * 0x1000

    def read(self, address: int, size: int) -> bytes | None:
        for number, code in enumerate(self.code):
            inside = address - self.start(number)
            if inside >= 0 and inside + size <= len(code):
                return code[inside : inside + size]
        word = self.words.get(address)
        return None if word is None else word.to_bytes(8, "little")[:size]

    def function(self, address: int) -> tuple[str, int, int] | None:
        number = (address - TEXT) // 0x1000
        if 0 <= number < len(self.code) and address - self.start(number) < len(self.code[number]):
            return self.names[number], self.start(number), len(self.code[number])
        return None

    def code_symbol(self, address: int) -> tuple[str, int, int] | None:
        return self.function(address)

    def named(self, name: str, near: int) -> tuple[str, int, int] | None:
        if name not in self.names:
            return None
        number = self.names.index(name)
        return name, self.start(number), len(self.code[number])


def trace(
    machine: Machine, place: str, at: int, *callers: tuple[int, int, int], **registers: int
) -> list[Move]:
    """Trace a register from byte ``at`` of f0; callers as function, return offset, stack."""
    frames = [PhysicalFrame(0, TEXT + at, STACK, dict(registers), faulted=True)]
    for index, (number, offset, sp) in enumerate(callers, 1):
        frames.append(PhysicalFrame(index, machine.start(number) + offset, sp, {}, faulted=False))
    calls = Calls(machine, frames, {"gs": 0xFFFF888007000000})
    context = calls.context(0)
    assert context is not None
    return calls.tracer.trace(context, place, context.at, registers.get(place))


def ways(moves: list[Move]) -> list[str]:
    return [move.how.value for move in moves]
