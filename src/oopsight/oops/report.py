"""One report's lines to facts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from oopsight.oops import blame
from oopsight.oops.facts import CrashReport, Frame, Skipped, Stack, Task
from oopsight.oops.families import Blame, Format
from oopsight.oops.lines import Line
from oopsight.oops.trace import frame, instruction_pointer
from oopsight.plumbing import base_name

_TRACE = re.compile(
    r"\s*(?:Call Trace|Call trace|Backtrace|Stack trace|stack backtrace|  ?backtrace)\b.*:"
)
_ROLES = (
    ("allocated", re.compile(r"\s*(?:.* )?[Aa]llocated by task|.*INFO: Allocated in")),
    ("freed", re.compile(
        r"\s*(?:.* )?[Ff]reed by task|.*INFO: Freed in|"
        r"Last potentially related work")),
    ("stored", re.compile(r"\s*Uninit was|\s*Local variable .* created at|Bytes \d")),
    ("other", re.compile(
        r"\s*the existing dependency chain|-> #\d|.*(?:state was|"
        r"irq-(?:un)?safe) (?:registered )?at:"
                         r"|Preemption disabled at|Memory state around|Mem-Info")),
)  # fmt: skip
_NEXT_TRACE_IS_ANOTHERS = re.compile(r"RCU grace-period kthread stack dump")
_TASK = re.compile(
    r"CPU: (?P<cpu>\d+) (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: "
    r"(?P<name>.{1,32}?) (?P<taint>Not tainted|Tainted: .{1,80}?) "
    r"+(?P<release>\d+\.\S+)"
)
_REGISTER = re.compile(r"\b([A-Z][A-Z0-9]{1,3}|[rx]\d{1,2}) ?: ?(?:0x)?([0-9a-f]{8,16})\b")
_LOCK = re.compile(r"\s*#\d+: .*")
_AT = re.compile(r"\bat: (?:\[<[0-9a-f]+>\] )?(?P<function>[A-Za-z_][\w.$]*)(?:\+0x|\s|$)")
_HEAD = re.compile(
    r"(?: in |at \S+:\d+ |IP: )\[?<?(?P<function>[A-Za-z_][\w.$]*)\+0x[0-9a-f]+/0x[0-9a-f]+"
)


def _stacks(lines: Sequence[Line], blame_: Blame) -> tuple[list[Stack], Frame | None, list[Frame]]:
    """The stacks, the faulting instruction, and the frames named by the program counter lines."""
    role = "other" if blame_ is Blame.LOCK else "crash"
    stacks: list[tuple[str, list[Frame]]] = [(role, [])]
    pointer: Frame | None = None
    inlined: list[Frame] = []
    after_note = ""
    only_pointers = True
    for line in lines:
        if _TRACE.match(line.text):
            # The registers come before the trace: the faulting function is its innermost frame.
            if after_note:
                stacks.append((after_note, []))
                after_note = ""
            elif stacks[-1][0] != "crash" or not only_pointers:
                stacks.append(("crash", []))
            continue
        if _NEXT_TRACE_IS_ANOTHERS.search(line.text):
            after_note = "other"
            continue
        found = next((name for name, pattern in _ROLES if pattern.match(line.text)), None)
        if found:
            stacks.append((found, []))
            continue
        at = instruction_pointer(line.text)
        if at:
            stacks[-1][1].append(at)
            if pointer is None:
                inlined.append(at)
                pointer = None if at.inline else at
            continue
        one = frame(line.text)
        if one:
            only_pointers = False
            stacks[-1][1].append(one)
    return [Stack(name, tuple(frames)) for name, frames in stacks if frames], pointer, inlined


def _header_functions(lines: Sequence[Line]) -> list[Frame]:
    """Functions that the headline itself names with an offset."""
    found = []
    for line in lines[:4]:
        match = _HEAD.search(line.text)
        if match:
            found.append(Frame(match["function"], 0, 0))
    return found


def _blame(
    format_: Format, lines: Sequence[Line], frames: Sequence[Frame], groups: dict[str, str]
) -> tuple[str | None, tuple[Skipped, ...]]:
    if format_.blame is Blame.NOBODY:
        return None, ()
    if format_.blame is Blame.HEADLINE:
        return (base_name(groups["first"]) if groups.get("first") else None), ()
    if format_.blame is Blame.OUTERMOST:
        return blame.outermost(frames)
    candidates = list(frames)
    if format_.blame is Blame.LOCK:
        taken = [Frame(m["function"], 0, 0) for line in lines[:14] if (m := _AT.search(line.text))]
        candidates = taken[:1] + candidates
    return blame.innermost(candidates)


def _after(texts: Sequence[str], word: str) -> str | None:
    """What stands behind a word, in the first line that has it."""
    return next((text.split(word, 1)[1] for text in texts if word in text), None)


def build(format_: Format, match: re.Match[str], lines: Sequence[Line]) -> CrashReport:
    """Read one report, whose first line is the headline that ``match`` was found in."""
    texts = [line.text for line in lines]
    groups = {name: value or "" for name, value in match.groupdict().items()}
    kind, title = format_.kind, format_.title
    refined = format_.refine(texts) if format_.refine else None
    if refined:
        kind, title = refined
    stacks, pointer, inlined = _stacks(lines, format_.blame)
    crash = [s for s in stacks if s.role == "crash"] or stacks[:1]
    frames = list(crash[0].frames) if crash else []
    if pointer and pointer not in frames:
        frames = inlined + frames
    header = _header_functions(lines)
    if format_.blame not in (Blame.LOCK, Blame.OUTERMOST) and frames:
        frames = header + frames
    function, skipped = _blame(format_, lines, frames, groups)
    task = next((m for text in texts if (m := _TASK.search(text))), None)
    missing = []
    if not frames and format_.blame not in (Blame.NOBODY, Blame.HEADLINE):
        missing.append("no call trace")
    return CrashReport(
        kind=kind,
        title=title.format(**{**groups, "function": function or "corrupted"}),
        headline=lines[0].text,
        first_line=lines[0].number,
        function=function,
        guilty_file=blame.guilty_file([f for s in crash[:3] for f in s.frames] or frames),
        skipped=skipped,
        stacks=tuple(stacks),
        registers=tuple((n, int(v, 16)) for t in texts for n, v in _REGISTER.findall(t))[:64],
        code=_after(texts, "Code: "),
        instruction=pointer,
        task=Task(task["name"], int(task["pid"]), int(task["cpu"])) if task else None,
        release=task["release"] if task else None,
        taints=task["taint"] if task else None,
        hardware=_after(texts, "Hardware name: "),
        modules=tuple((_after(texts, "Modules linked in:") or "").split()),
        locks_held=tuple(t.strip() for t in texts if _LOCK.match(t))[:48],
        missing=tuple(missing),
    )
