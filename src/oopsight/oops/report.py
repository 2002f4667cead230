"""One report's lines to facts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from oopsight.cheap import dataclass, field, replace
from oopsight.kinds import Kind
from oopsight.oops import blame, machine
from oopsight.oops.facts import CrashReport, Frame, Skipped, Stack, Task
from oopsight.oops.families import Blame, Format, compiled
from oopsight.oops.lines import Line
from oopsight.oops.taints import in_words
from oopsight.oops.trace import demangled, frame, instruction_pointer
from oopsight.plumbing import base_name, why_serves

MOST_FRAMES = 400
MOST_LOCKS = 48

_TRACE = r"\s{0,4}(?:\[?Call [Tt]race|Backtrace|Stack trace|stack backtrace|backtrace)\b.{0,40}:"
_ROLES = (
    (
        "allocated",
        r"\s{0,4}(?:.{0,80} )?[Aa]llocated by task|(?:.{0,40}INFO: )?Allocated in \S|allocated by ",
    ),
    ("freed", r"\s{0,4}(?:.{0,80} )?[Ff]reed by task|(?:.{0,40}INFO: )?Freed in \S|freed by "),
    ("stored", r"\s{0,4}(?:Uninit was|chained origin|Local variable .{0,80} created at|Bytes \d)"),
    (
        "other",
        r"\s{0,4}the existing dependency chain|-> #\d|.{0,60}(?:state was|irq-(?:un)?safe)"
        r" (?:registered )?at:|.{0,20}which became|Preemption disabled at|Last potentially related|"
        r"Memory state around|Mem-Info|Second to last potentially|The buggy address",
    ),
)
_ANOTHERS = r"RCU grace-period kthread stack dump|rcu: RCU grace-period kthread stack"
_INJECTORS = ("should_fail", "should_fail_ex", "fail_dump")
_INJECTED = "FAULT_INJECTION: forcing a failure"
_TASK = (
    r"CPU: ?(?P<cpu>\d{1,5}) (?:UID: \d{1,10} )?PID: (?P<pid>\d{1,10}) Comm: "
    r"(?P<name>.{1,32}?)(?: Kdump: loaded)? (?P<taint>Not tainted|Tainted: .{1,80}?) {1,4}"
    r"(?P<release>\S{3,100})"
)
_TASK_OLD = (
    r"Pid: (?P<pid>\d{1,10}), comm: (?P<name>.{1,32}?) (?P<taint>Not tainted"
    r"|Tainted: .{1,60}?) {1,4}\(?(?P<release>[\w.+~-]{3,80})"
)
_TASK_HUNG = r"INFO: task (?P<name>.{1,32}):(?P<pid>\d{1,10}) (?:blocked|can't)"
_LOCK = r"\s{0,4}#\d{1,3}: {1,3}\S.{0,400}"
_AT = (
    r"\bat: (?:\[?<[0-9a-fp]{4,18}>\]? )?(?P<function>[A-Za-z_][\w.$]{0,255})"
    r"(?:\+0x[0-9a-f]{1,8}(?:/0x[0-9a-f]{1,8})?|\s)?(?: ?(?P<file>[\w./+-]{1,255}\."
    r"[chS]):(?P<line>\d{1,7}))?"
)
_HEAD = (
    r"(?: in | at (?:\S{1,300}:\d{1,7} )?(?:at )?|:\d{1,7} (?:at )?|IP: (?:\[?<[0-9a-f]"
    r"{8,16}>\]? )?)"
    r"(?P<function>[A-Za-z_][\w.$]{0,255})\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}"
    r"(?: (?P<file>[\w./+-]{1,255}\.(?:[chS]|rs)):(?P<line>\d{1,7}))?"
)


@dataclass
class _Stacks:
    """The stacks of a report as they come, line by line."""

    first_role: str
    stacks: list[tuple[str, list[Frame]]] = field(default_factory=list)
    pointer: Frame | None = None
    pointers: list[Frame] = field(default_factory=list)
    traced: bool = False
    pending: str | None = None

    def __post_init__(self) -> None:
        self.stacks.append((self.first_role, []))

    def line(self, text: str) -> None:
        """Take one line."""
        if compiled(_TRACE).match(text):
            self._trace()
            return
        if compiled(_ANOTHERS).search(text) or _INJECTED in text:
            self.pending = "other"
            return
        for role, pattern in _ROLES:
            if compiled(pattern).match(text):
                self.stacks.append((role, []))
                self.pending = None
                return
        at = instruction_pointer(text)
        if at and at == self.pointer:
            return  # the oops repeats it before and behind the trace
        if at:
            self.stacks[-1][1].append(at)
            if self.pointer is None:
                self.pointers.append(at)
                self.pointer = None if at.inline else at
            return
        one = frame(text)
        if one and len(self.stacks[-1][1]) < MOST_FRAMES:
            self.traced = True
            self.stacks[-1][1].append(one)

    def _trace(self) -> None:
        if self.pending:
            self.stacks.append((self.pending, []))
            self.pending = None
        elif self.stacks[-1][0] != "crash" or self.traced:
            # The registers come before the trace: the faulting function is its innermost frame.
            self.stacks.append(("crash", []))
        self.traced = False

    def done(self) -> list[Stack]:
        """The stacks that have frames; one that fault injection printed is not the crash's."""
        return [
            Stack("other" if name == "crash" and _injected(frames) else name, tuple(frames))
            for name, frames in self.stacks
            if frames
        ]


def _injected(frames: Sequence[Frame]) -> bool:
    return any(base_name(one.function) in _INJECTORS for one in frames[:6])


def _head_frames(lines: Sequence[Line]) -> list[Frame]:
    """Functions that the headline itself, or the lines beside it, name with an offset."""
    found = []
    for line in lines[:4]:
        match = compiled(_HEAD).search(line.text)
        if match and "last " not in line.text:
            number = int(match["line"]) if match["line"] else None
            found.append(Frame(demangled(match["function"]), 0, 0, file=match["file"], line=number))
    return found


def _lock_frames(lines: Sequence[Line]) -> list[Frame]:
    """Where the lock was taken or let go: the first place that the report gives after ``at:``."""
    for number, line in enumerate(lines[:24]):
        match = compiled(_AT).search(line.text)
        if match:
            same = [
                m for one in lines[number : number + 8] if (m := compiled(_AT).search(one.text))
            ]
            return [
                Frame(demangled(m["function"]), 0, 0, file=m["file"], inline="[inline]" in m.string,
                      line=int(m["line"]) if m["line"] else None)
                for m in same
                if _lock_of(m.string) == _lock_of(line.text)
            ]  # fmt: skip
        if line.text.rstrip().endswith(" at:") and number + 1 < len(lines):
            after = frame(lines[number + 1].text)
            return [after] if after else []
    return []


def _lock_of(text: str) -> str:
    return text.split(" at: ", maxsplit=1)[0]


def _mixed(format_: Format, lines: Sequence[Line]) -> str | None:
    """What of somebody else's stands between the headline and the end of its stack, if anything."""
    pid = None
    traced = False
    for line in lines[1:]:
        if _INJECTED in line.text:
            return "another task's failure injection is mixed in"
        match = compiled(_TASK).search(line.text)
        if match and format_.blame is not Blame.OUTERMOST:
            if pid not in (None, match["pid"]):
                return "another task's report is mixed in"
            pid = match["pid"]
        if frame(line.text):
            traced = True
        elif traced and not line.text.startswith((" ", "RIP", "R", "C", "F", "D", "[", "?", "<")):
            break
    return None


def _candidates(format_: Format, lines: Sequence[Line], stacks: _Stacks) -> list[list[Frame]]:
    """The stacks to look for the culprit in, the likeliest first."""
    done = stacks.done()
    crash = [list(stack.frames) for stack in done if stack.role == "crash"]
    if not crash and format_.blame not in (Blame.LOCK, Blame.IRQ_SAFE, Blame.OUTERMOST):
        crash = [list(s.frames) for s in done if s.role == "other" and not _injected(s.frames)][:1]
    pointers = stacks.pointers if stacks.pointer else []
    if (
        pointers
        and format_.blame is not Blame.OUTERMOST
        and (not crash or pointers[-1] not in crash[0])
    ):
        crash = [pointers + (crash[0] if crash else []), *crash[1:]]
    if format_.blame is Blame.IRQ_SAFE:
        safe = _irq_safe(lines)
        return [safe, *crash] if safe else [_lock_frames(lines), *crash]
    if format_.blame is Blame.LOCK:
        return [_lock_frames(lines) + (crash[0] if crash else []), *crash[1:]]
    if format_.blame is Blame.OUTERMOST:
        return crash
    head = _head_frames(lines)
    return [head + (crash[0] if crash else []), *crash[1:]] if head or crash else []


def _irq_safe(lines: Sequence[Line]) -> list[Frame]:
    """The stack under ``which became HARDIRQ-irq-safe at:``."""
    found: list[Frame] = []
    inside = False
    for line in lines:
        if "which became" in line.text and "irq-safe at" in line.text:
            inside = True
        elif inside:
            one = frame(line.text)
            if one:
                found.append(one)
            elif found:
                break
    return found


def _blame(
    format_: Format, kind: Kind, stacks: Sequence[Sequence[Frame]], groups: dict[str, str]
) -> tuple[str | None, tuple[Skipped, ...], Sequence[Frame]]:
    """The function to blame, the frames passed over, and the stack in which it was found."""
    first = stacks[0] if stacks else ()
    if format_.blame is Blame.NOBODY:
        return None, (), first
    if format_.blame is Blame.HEADLINE and groups.get("first"):
        return blame.title_name(groups["first"]), (), first
    if format_.blame is Blame.OUTERMOST:
        for look in (blame.outermost, blame.thread_of):
            for frames in stacks:
                function = look(frames)
                if function:
                    return function, (), frames
    for frames in stacks if format_.blame is Blame.OUTERMOST else stacks[:1]:
        function, skipped = blame.innermost(
            _after_interrupt(frames, format_), blame.by_its_name(kind)
        )
        if function:
            return function, skipped, frames
    return (blame.last_resort(first) if stacks else None), (), first


def _after_interrupt(frames: Sequence[Frame], format_: Format) -> Sequence[Frame]:
    """For a stall, what the interrupt that noticed it had interrupted."""
    if format_.blame is not Blame.OUTERMOST:
        return frames
    entry = "enters the kernel on an exception, interrupt or system call"
    last = 0
    for position, one in enumerate(frames):
        if why_serves(one.function) == entry and "syscall" not in one.function.lower():
            last = position
    return frames[last:] if any(not why_serves(f.function) for f in frames[last:]) else frames


def _after(texts: Sequence[str], word: str) -> str | None:
    """What stands behind a word, in the first line that has it."""
    return next((text.split(word, 1)[1].strip() for text in texts if word in text), None)


def _task(texts: Sequence[str]) -> re.Match[str] | None:
    for pattern in (_TASK, _TASK_OLD):
        for text in texts:
            match = compiled(pattern).search(text)
            if match:
                return match
    return None


def _missing(
    format_: Format, stacks: Sequence[Stack], task: re.Match[str] | None, texts: Sequence[str]
) -> Iterator[str]:
    if format_.blame not in (Blame.NOBODY, Blame.HEADLINE) and not any(s.frames for s in stacks):
        yield "no call trace"
    if task is None:
        yield "no line about the CPU, task and release"
    if any("printk messages dropped" in text for text in texts):
        yield "the kernel lost messages within the report"


def build(format_: Format, match: re.Match[str], lines: Sequence[Line]) -> CrashReport:
    """Read one report, whose first line is the headline that ``match`` was found in."""
    texts = [line.text for line in lines]
    groups = {name: value or "" for name, value in match.groupdict().items()}
    groups.setdefault("match", match[0])
    kind, title = format_.kind, format_.title
    refined = format_.refine(texts, match) if format_.refine else None
    if refined:
        kind, title = refined
    lock = format_.blame in (Blame.LOCK, Blame.IRQ_SAFE)
    stacks = _Stacks("other" if lock else "crash")
    for text in texts:
        stacks.line(text)
    done = stacks.done()
    candidates = _candidates(format_, lines, stacks)
    function, skipped, blamed = _blame(format_, kind, candidates, groups)
    task = _task(texts)
    missing = list(_missing(format_, done, task, texts))
    mixed = None if format_.blame in (Blame.NOBODY, Blame.HEADLINE) else _mixed(format_, lines)
    if mixed:
        missing.append(mixed)
        function, skipped = None, ()
    leftover = None
    if function is None and not mixed and not any(one.reliable for one in _crash_frames(done)):
        # Where the counter itself was bad nothing can be unwound: what lies on the stack is all.
        leftover, skipped = blame.innermost(
            [replace(one, reliable=True) for one in _crash_frames(done)]
        )
    if leftover:
        missing.append("no certain frame: the function is a leftover on the stack")
    if function is None and format_.lost and groups.get("word") != "INFO":
        title = format_.lost
    alone = format_.stacked and not any(one.role == "crash" for one in done)
    named = (None if alone else function) or (
        "corrupted" if format_.blame is not Blame.HEADLINE else groups.get("first")
    )
    hung = compiled(_TASK_HUNG).search(lines[0].text)
    modules = _after(texts, "Modules linked in:")
    return CrashReport(
        kind=kind,
        title=_titled(title, {**groups, "function": named or "corrupted"}),
        headline=lines[0].text,
        first_line=lines[0].number,
        function=function or leftover,
        guilty_file=_guilty([blamed, *candidates]),
        skipped=skipped,
        stacks=tuple(done),
        registers=machine.registers(texts),
        code=_after(texts, "Code: "),
        instruction=stacks.pointer,
        access=machine.access(texts),
        machine=machine.family(texts),
        task=_made_task(hung or task),
        release=task["release"] if task else None,
        taints=task["taint"] if task else None,
        tainted=in_words(task["taint"] if task else None),
        hardware=_after(texts, "Hardware name: "),
        modules=_module_names(modules),
        last_unloaded=_last_unloaded(modules),
        locks_held=tuple(t.strip() for t in texts if compiled(_LOCK).match(t))[:MOST_LOCKS],
        missing=tuple(missing),
        program_counter=machine.program_counter(texts),
        text=tuple((line.seconds, line.text) for line in lines),
    )


def _crash_frames(stacks: Sequence[Stack]) -> tuple[Frame, ...]:
    return next((stack.frames for stack in stacks if stack.role == "crash"), ())


def _titled(title: str, groups: dict[str, str]) -> str:
    try:
        return title.format(**groups)
    except (KeyError, IndexError, ValueError):
        # A refined title quotes the log, which may hold braces.
        return title.replace("{function}", groups["function"])


def _guilty(candidates: Sequence[Sequence[Frame]]) -> str | None:
    return next((file for frames in candidates[:3] if (file := blame.guilty_file(frames))), None)


def _made_task(match: re.Match[str] | None) -> Task | None:
    if match is None:
        return None
    cpu = match.groupdict().get("cpu")
    return Task(match["name"], int(match["pid"]), int(cpu) if cpu else None)


def _module_names(text: str | None) -> tuple[str, ...]:
    """Names without the taint letters behind them."""
    words = (text or "").split("[last unloaded")[0].split()
    return tuple(compiled(r"\(.{0,12}$").sub("", word) for word in words)


def _last_unloaded(text: str | None) -> str | None:
    match = compiled(r"\[last unloaded: ?([\w-]{1,64})").search(text or "")
    return match[1] if match else None
