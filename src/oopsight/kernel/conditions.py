"""Which comparison led the code to a place."""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import KEEP_FLAGS, Instruction, direct_target

_COMPARISONS = ("cmp", "test", "bt")
_MOST_BACK = 6
# Jumps by what they find, of "cmp A, B"; for "test A, A" B is 0.
_RELATIONS = {
    "je": "==",
    "jne": "!=",
    "ja": "> (unsigned)",
    "jae": ">= (unsigned)",
    "jb": "< (unsigned)",
    "jbe": "<= (unsigned)",
    "jg": ">",
    "jge": ">=",
    "jl": "<",
    "jle": "<=",
    "js": "is negative",
    "jns": "is not negative",
}
_OPPOSITE = {
    "je": "jne",
    "ja": "jbe",
    "jae": "jb",
    "jg": "jle",
    "jge": "jl",
    "js": "jns",
}
_OPPOSITE |= {b: a for a, b in _OPPOSITE.items()}


@dataclass(frozen=True)
class Condition:
    """A comparison and its outcome."""

    text: str
    """``eax > (unsigned) 8``, in the code's own terms."""
    registers: tuple[str, ...]
    """64-bit names of the registers compared, unchanged since."""


def condition(function: Function, place: int) -> Condition | None:
    """The comparison whose outcome led straight to a place.

    :param place: address of an instruction; the code before it in the same straight run may have
        been jumped to
    :return: ``None`` where the place is reached in several ways, or not by a comparison
    """
    code = function.code
    start = _run_start(function, place)
    sources = [
        i
        for i in code.values()
        if i.mnemonic.startswith("j") and i.mnemonic != "jmp" and direct_target(i) == start
    ]
    before = next((i for i in code.values() if i.end == start), None)
    falls = before is not None and before.mnemonic in _RELATIONS
    if len(sources) + falls != 1:
        return None
    jump = sources[0] if sources else before
    if jump is None:
        return None
    taken = bool(sources)
    compared = _comparison(function, jump)
    relation = jump.mnemonic if taken else _OPPOSITE.get(jump.mnemonic)
    if compared is None or relation not in _RELATIONS:
        return None
    changed = {r for i in _between(function, start, place) for r in i.written}
    registers = tuple(r for r in compared.read if r not in changed)
    return Condition(_say(compared, _RELATIONS[relation]), registers)


def _run_start(function: Function, place: int) -> int:
    """Where the straight run that holds the place begins."""
    code = function.code
    targets = {direct_target(i) for i in code.values() if i.mnemonic.startswith("j")}
    ends = {i.end: i for i in code.values()}
    while place not in targets:
        before = ends.get(place)
        if before is None or before.mnemonic.startswith("j") or before.mnemonic in ("ret", "ud2"):
            break
        place = before.address
    return place


def _between(function: Function, start: int, end: int) -> list[Instruction]:
    return [i for a, i in function.code.items() if start <= a < end]


def _comparison(function: Function, jump: Instruction) -> Instruction | None:
    """The comparison before a jump, with nothing in between that sets the flags."""
    ends = {i.end: i for i in function.code.values()}
    current: Instruction | None = jump
    for _ in range(_MOST_BACK):
        current = ends.get(current.address) if current is not None else None
        if current is None or current.mnemonic.startswith(("j", "call", "ret")):
            return None
        if current.mnemonic in _COMPARISONS:
            return current
        if current.mnemonic not in KEEP_FLAGS:
            return None
    return None


def _say(compared: Instruction, relation: str) -> str:
    left, _, right = compared.text.partition(", ")
    if compared.mnemonic == "test":
        what = left if left == right else f"{left} & {right}"
        return f"{what} {relation}" if relation.startswith("is") else f"{what} {relation} 0"
    if compared.mnemonic == "bt":
        return f"bit {right} of {left} {relation}"
    return f"{left} {relation}" if relation.startswith("is") else f"{left} {relation} {right}"
