"""What happened, in order: boot, modules, taints, programs, errors, the crash; with their sources.

A choice from the log and the tasks' start times, made for a reader who has half a minute: what a
suspect module or a program said, what the kernel called an error, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

from oopsight.cheap import dataclass, replace
from oopsight.evidence import Missing
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.unloaded_modules import UnloadedModules
from oopsight.evidence.pointers import LogPointer, TaskPointer

MOST_EVENTS = 40
MOST_OF_A_SPEAKER = 6
"""Lines kept of one module or program: the first ones and the last ones."""
PROGRAMS_SECONDS = 900.0
"""How long before the crash a program's own lines are of interest."""
_ERROR_LEVEL = 3  # KERN_ERR
_TAINT = ("taints kernel", "tainting kernel", "kernel taint")
_END = "Kernel panic - not syncing"
_SPEAKER = re.compile(r"^([\w./-]{1,32})(?:\[\d+\])?:")
_NUMBERS = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}|\d+")


class What(str, Enum):
    """Kinds of events."""

    BOOT = "boot"
    TAINT = "taint"
    MODULE = "module"
    PROGRAM = "program"
    START = "start"
    ERROR = "error"
    CRASH = "crash"
    PANIC = "panic"


@dataclass(frozen=True)
class Event:
    """One thing that happened."""

    seconds: float
    """Since boot."""
    what: What
    text: str
    because: LogPointer | TaskPointer
    again: int = 0
    """How many more lines said the same, their numbers apart."""


@dataclass(frozen=True)
class Timeline:
    """Oldest first."""

    events: tuple[Event, ...]
    left_out: int
    """Lines of chatty speakers that were passed over."""


def _starts(task: CrashedTask) -> Iterator[Event]:
    """When the crashed task and its parents were started; init and kernel threads are no news."""
    parents = task.ancestry[1:]
    for child, parent, seconds in zip(task.ancestry, parents, task.started, strict=False):
        if child.pid > 1 and parent.pid != 2 and seconds is not None:
            text = f"{child.comm} ({child.pid}) was started by {parent.comm} ({parent.pid})"
            yield Event(seconds, What.START, text, child)


def _mentions(names: set[str]) -> re.Pattern[str] | None:
    if not names:
        return None
    return re.compile(rf"(?<![\w-])(?:{'|'.join(sorted(map(re.escape, names)))})(?![\w-])")


def _of_log(log: Log, names: set[str], symptom: Symptom | None) -> Iterator[Event]:
    """Events among the lines up to the crash; the crash itself and the panic."""
    crash = symptom.headline if symptom else None
    at = log.lines.index(crash) if crash in log.lines else len(log.lines)
    wanted, users = _mentions(names), set(log.user)
    recent = (crash.seconds if crash else log.lines[-1].seconds) - PROGRAMS_SECONDS
    for index, line in enumerate(log.lines[:at]):
        text = line.text
        if text.startswith("Linux version ") and index < 50:
            yield Event(line.seconds, What.BOOT, text.split(" (")[0], line)
        elif any(sign in text for sign in _TAINT):
            yield Event(line.seconds, What.TAINT, text, line)
        elif wanted and wanted.search(text):
            what = What.PROGRAM if index in users else What.MODULE
            yield Event(line.seconds, what, text, line)
        elif index in users:
            if line.seconds >= recent:
                yield Event(line.seconds, What.PROGRAM, text, line)
        elif index < len(log.levels) and log.levels[index] <= _ERROR_LEVEL and text.strip():
            yield Event(line.seconds, What.ERROR, text, line)
    if crash is not None:
        yield Event(crash.seconds, What.CRASH, crash.text, crash)
    panic = next((line for line in log.lines[at:] if line.text.startswith(_END)), None)
    if panic is not None and panic != crash:
        yield Event(panic.seconds, What.PANIC, panic.text, panic)


def _shortened(events: list[Event]) -> tuple[list[Event], int]:
    """Repetitions folded, chatty speakers and the whole cut down."""
    folded: list[Event] = []
    errors: dict[str, int] = {}
    before: dict[str, tuple[str, int]] = {}
    for event in events:
        shape = _NUMBERS.sub("#", event.text)
        match = _SPEAKER.match(event.text)
        speaker = match[1] if match else ""
        at = None
        if event.what is What.ERROR:
            at = errors.setdefault(shape, len(folded))
        elif event.what is What.MODULE:
            # What a module says again after it has said something else is news: it was loaded anew.
            last, place = before.get(speaker, ("", len(folded)))
            at = place if last == shape else len(folded)
            before[speaker] = shape, at
        if at is not None and at < len(folded):
            folded[at] = replace(folded[at], again=folded[at].again + 1)
        else:
            folded.append(event)
    speakers: dict[tuple[What, str], list[Event]] = {}
    for event in folded:
        match = _SPEAKER.match(event.text)
        speakers.setdefault((event.what, match[1] if match else ""), []).append(event)
    half = MOST_OF_A_SPEAKER // 2
    kept = [
        event
        for (what, _), said in speakers.items()
        for event in (
            said
            if what in (What.CRASH, What.PANIC, What.BOOT, What.START)
            or len(said) <= MOST_OF_A_SPEAKER
            else said[:half] + said[-half:]
        )
    ]
    kept.sort(key=lambda event: event.seconds)
    if len(kept) > MOST_EVENTS:
        kept = kept[:5] + kept[5 - MOST_EVENTS :]
    return kept, len(folded) - len(kept)


def collect(
    log: Log | Missing,
    modules: Modules | Missing,
    unloaded: UnloadedModules | Missing,
    symptom: Symptom | Missing,
    task: CrashedTask | Missing,
) -> Timeline:
    """Choose; the suspects are the modules which taint and those that are gone."""
    names: set[str] = set()
    if isinstance(modules, Modules):
        names |= {module.name for module in modules.loaded if module.taints}
    if isinstance(unloaded, UnloadedModules):
        names |= {module.name for module in unloaded.modules}
    events: list[Event] = []
    if isinstance(log, Log):
        events += _of_log(log, names, None if isinstance(symptom, Missing) else symptom)
    if isinstance(task, CrashedTask):
        # The two clocks drift apart by some hundredths, but nobody was started after the crash.
        crash = next((e.seconds for e in events if e.what is What.CRASH), None)
        for event in _starts(task):
            seconds = event.seconds if crash is None else min(event.seconds, crash)
            events.insert(0, replace(event, seconds=seconds))
    events.sort(key=lambda event: event.seconds)
    kept, left_out = _shortened(events)
    return Timeline(tuple(kept), left_out)
