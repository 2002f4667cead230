from __future__ import annotations

from dataclasses import replace

import handmade_facts as made

from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.crash.timeline import MOST_EVENTS, MOST_OF_A_SPEAKER, Timeline, What, collect
from oopsight.evidence.modules.unloaded_modules import collect as unloaded
from oopsight.evidence.pointers import LogPointer
from oopsight.kinds import Kind

CRASH = "BUG: unable to handle page fault for address: ffffffffc0572030"


def log(*lines: tuple[float, str, int, bool]) -> Log:
    rows = tuple(LogPointer(seconds, text) for seconds, text, _, _ in lines)
    levels = tuple(level for _, _, level, _ in lines)
    return replace(
        made.log(),
        lines=rows,
        levels=levels,
        user=tuple(index for index, line in enumerate(lines) if line[3]),
    )


def timeline(told: Log, last: str | None = "vmsecmod") -> Timeline:
    headline = next(line for line in told.lines if line.text == CRASH)
    symptom = Symptom(Kind.PAGE_FAULT, "page fault", "log", headline, None)
    modules = made.modules(made.module("hooks", 0, 16, "OE"), last=last)
    task = replace(made.task("ss"), started=(998.5, 0.0))
    return collect(told, modules, unloaded(modules, told), symptom, task)


def test_what_matters_is_kept_in_order_with_its_source() -> None:
    told = log(
        (0.0, "Linux version 6.1.0-9 (gcc) #1", 5, False),
        (0.1, "ACPI: Enabled", 6, False),
        (1.0, "vmsecmod: loading out-of-tree module taints kernel.", 4, False),
        (2.0, "vmsecmod2: something", 6, False),
        (3.0, "agent[7]: long ago", 6, True),
        (900.0, "blk_update_request: I/O error, dev sda, sector 12", 3, False),
        (901.0, "blk_update_request: I/O error, dev sda, sector 99", 3, False),
        (997.0, "vmsecmod: unloaded", 6, False),
        (998.0, "agent[7]: licence updated", 6, True),
        (999.0, CRASH, 1, False),
        (999.1, "vmsecmod: after", 6, False),
        (999.2, "Kernel panic - not syncing: Fatal exception", 0, False),
    )
    events = timeline(told).events
    assert [(event.what, event.seconds, event.again) for event in events] == [
        (What.BOOT, 0.0, 0),
        (What.TAINT, 1.0, 0),
        (What.ERROR, 900.0, 1),
        (What.MODULE, 997.0, 0),
        (What.PROGRAM, 998.0, 0),
        (What.START, 998.5, 0),
        (What.CRASH, 999.0, 0),
        (What.PANIC, 999.2, 0),
    ]
    assert events[0].text == "Linux version 6.1.0-9"
    assert events[3].because == told.lines[7]
    assert events[5].text == "ss (42) was started by init (1)"


def test_a_chatty_speaker_is_cut_short() -> None:
    chatter = [(float(at), f"hooks: {'abcdefghij'[at]} done", 6, False) for at in range(10)]
    found = timeline(log(*chatter, (20.0, CRASH, 1, False)))
    assert len([e for e in found.events if e.what is What.MODULE]) == MOST_OF_A_SPEAKER
    assert found.left_out == 10 - MOST_OF_A_SPEAKER


def test_the_whole_is_bounded_and_keeps_the_crash() -> None:
    words = [f"{a}{b}" for a in "abcdefghijkl" for b in "abcdefghijkl"]
    chatter = [(float(at), f"{word}: hooks", 6, False) for at, word in enumerate(words)]
    events = timeline(log(*chatter, (2000.0, CRASH, 1, False))).events
    assert len(events) == MOST_EVENTS
    assert events[-1].what is What.CRASH
    assert events[0].text == "aa: hooks"


def test_a_module_that_is_loaded_again_is_told_again() -> None:
    lines = ["hooks: loaded", "hooks: loaded", "hooks: unloaded", "hooks: loaded"]
    told = [(float(at), text, 6, False) for at, text in enumerate(lines)]
    events = timeline(log(*told, (999.0, CRASH, 1, False))).events
    found = [(event.text, event.again) for event in events if event.what is What.MODULE]
    assert found == [("hooks: loaded", 1), ("hooks: unloaded", 0), ("hooks: loaded", 0)]


def test_nobody_is_started_after_the_crash() -> None:
    events = timeline(log((998.0, CRASH, 1, False))).events
    assert [event.what for event in events] == [What.START, What.CRASH]
    assert events[0].seconds == 998.0
