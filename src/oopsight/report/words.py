"""Words and layout that the formats of the report share."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oopsight.report import Report

CERTAINTY = {
    "shown": "every step is read from the dump",
    "inferred": "the steps are read from the dump; one conclusion between them is drawn, and named",
    "possible": "it agrees with the dump, and so may other causes",
    "unknown": "no rule explains this crash",
}


def blamed_as(verdict: dict[str, Any]) -> str:
    """What whoever is named is: to blame, or suspected where other causes agree with the dump."""
    return "to blame" if verdict["certainty"] in ("shown", "inferred") else "suspected"


def culprit_text(culprit: dict[str, Any]) -> str:
    """A culprit's module and function, else the object; the source line; and why.

    >>> culprit_text({"module": "nic", "function": "nic_stop", "object": None, "source": None,
    ...               "why": "left its timer running"})
    'nic nic_stop(): left its timer running'
    """
    names = [culprit["module"], culprit["function"] and f"{culprit['function']}()"]
    named = " ".join(name for name in names if name) or culprit["object"] or "unknown"
    source = f" at {culprit['source']}" if culprit["source"] else ""
    return f"{named}{source}: {culprit['why']}"


def ago(seconds: float) -> str:
    """A time before the crash, short.

    >>> ago(0.0), ago(2.5412), ago(75.0), ago(7325.0), ago(200000.0), ago(-0.3)
    ('0', '-2.54 s', '-75 s', '-2 h 2 min', '-2 d 7 h', '+0.30 s')
    """
    sign, value = ("-", seconds) if seconds > 0 else ("+", -seconds)
    if value < 0.005:
        return "0"
    if value < 10:
        return f"{sign}{value:.2f} s"
    if value < 100:
        return f"{sign}{value:.0f} s"
    minutes = int(value // 60)
    if minutes < 60:
        return f"{sign}{minutes} min {int(value % 60)} s"
    hours = minutes // 60
    if hours < 48:
        return f"{sign}{hours} h {minutes % 60} min"
    return f"{sign}{hours // 24} d {hours % 24} h"


def crash_seconds(report: Report) -> float:
    """When it crashed, seconds since boot; else the last event."""
    events = report["timeline"]
    crash = next((e for e in events if e["what"] in ("crash", "panic")), events[-1])
    return float(crash["seconds"])


def event_text(event: dict[str, Any]) -> str:
    """An event's text, and how often it came again."""
    again = f" (and {event['again']} more like it)" if event["again"] else ""
    return f"{event['text']}{again}"


def frame_text(frame: dict[str, Any]) -> str:
    """A frame of the backtrace: the function's symbol with offset, module, source line.

    >>> frame_text({"function": "oops_end", "symbol": "oops_end.cold+0x9", "module": None,
    ...             "inline": False, "source": "dumpstack.c:400"})
    'oops_end.cold+0x9 at dumpstack.c:400'
    """
    name = frame["function"] if frame["inline"] else frame["symbol"] or frame["function"]
    module = f" [{frame['module']}]" if frame["module"] else ""
    inline = " (inlined)" if frame["inline"] else ""
    source = f" at {frame['source']}" if frame["source"] else ""
    return f"{name}{module}{inline}{source}"


def limited_basis(report: Report) -> str | None:
    """What the report stands on where that is less than full debug information."""
    basis: str | None = (report["dump"] or {}).get("basis")
    return None if basis == "debug information" else basis


def guessed_frames(report: Report) -> str | None:
    """Which frames of the backtrace do not stand on the kernel's own unwind tables."""
    rows = (report["dump"] or {}).get("frames", [])
    guessed = [row for row in rows if row["unwound"] not in ("ORC", "saved registers")]
    if not guessed:
        return None
    ways = " and ".join(dict.fromkeys(row["unwound"] for row in guessed))
    return f"{', '.join('#' + str(row['index']) for row in guessed)} found by {ways}"


def machine(report: Report) -> str | None:
    """The machine in a line: name, kernel, CPUs, uptime, when."""
    system = report["evidence"].get("system", {})
    if "release" not in system:
        return None
    parts = [system["node"], f"Linux {system['release']}", f"{system['cpus']} CPUs"]
    parts.append("up " + ago(system["uptime"]).lstrip("-+"))
    if system["crash_time"]:
        when = datetime.fromtimestamp(system["crash_time"], tz=timezone.utc)
        parts.append(f"crashed {when:%Y-%m-%d %H:%M:%S} UTC")
    if system["tainted"]:
        parts.append(f"tainted {' '.join(system['tainted'].split())}")
    return ", ".join(parts)


_TRACEBACK = "Traceback (most recent call last)"


def _in_one_line(why: str) -> str:
    r"""Of a failure's traceback, which the JSON report has whole, what failed and with which error.

    >>> _in_one_line("Fault: Traceback (most recent call last):\n  File x\nKeyError: 'a'\n")
    "Fault: KeyError: 'a'"
    """
    before, _, traceback = why.strip().partition(_TRACEBACK)
    return before + traceback.splitlines()[-1].strip() if traceback else before


def gaps(report: Report) -> list[tuple[str, str]]:
    """What could not be checked, and why."""
    found = [(item["rule"], _in_one_line(item["why"])) for item in report["undecided"]]
    for name, fact in report["evidence"].items():
        if "missing" in fact and fact["missing"]["why"] not in ("not-applicable", "not-told"):
            found.append((name, _in_one_line(fact["missing"]["detail"])))
        found += [(name, why) for why in fact.get("unchecked") or ()]
    return found
