"""The checks' results as text, JSON, a line for monitoring, and a file for node_exporter."""

from __future__ import annotations

import json
from collections.abc import Sequence

from oopsight.kdump.checks import Level, Named

# As monitoring plugins do: 0 ok, 1 warning, 2 critical, 3 unknown.
EXIT = {Level.OK: 0, Level.WARN: 1, Level.FAIL: 2, Level.UNKNOWN: 3}
ORDER = (Level.FAIL, Level.WARN, Level.UNKNOWN, Level.OK)
PROMETHEUS = {Level.OK: 0, Level.WARN: 1, Level.FAIL: 2, Level.UNKNOWN: 3}


def worst(results: Sequence[Named]) -> Level:
    """The level of the whole chain; what is unknown alone does not break it."""
    levels = {named.result.level for named in results} - {Level.UNKNOWN}
    return next((level for level in ORDER if level in levels), Level.UNKNOWN)


def summary(results: Sequence[Named]) -> str:
    """One line for monitoring."""
    level = worst(results)
    bad = [named.name for named in results if named.result.level is level]
    if level is Level.OK:
        return "KDUMP OK: a crash would leave a dump, as far as it can be seen without one"
    word = {Level.FAIL: "CRITICAL: a crash leaves no dump", Level.WARN: "WARNING"}
    return f"KDUMP {word.get(level, 'UNKNOWN')}: {', '.join(bad)}"


def to_line(results: Sequence[Named]) -> str:
    """The summary alone, for monitoring plugins."""
    return summary(results) + "\n"


def to_text(results: Sequence[Named]) -> str:
    """Every link, the broken ones first, each with its meaning and remedy."""
    lines = []
    for named in sorted(results, key=lambda named: ORDER.index(named.result.level)):
        result = named.result
        lines.append(f"{result.level.value:<8}{named.name}: {result.found}")
        lines += [f"          {text}" for text in (result.meaning,) if text]
        lines += [f"          -> {text}" for text in (result.remedy,) if text]
    return "\n".join([*lines, summary(results), ""])


def to_json(results: Sequence[Named]) -> str:
    """``{"version": 1, "level": …, "summary": …, "checks": [{name, level, found, …}]}``."""
    checks = [
        {
            "name": named.name,
            "level": named.result.level.value,
            "found": named.result.found,
            "meaning": named.result.meaning,
            "remedy": named.result.remedy,
        }
        for named in results
    ]
    level = worst(results).value
    data = {"version": 1, "level": level, "summary": summary(results), "checks": checks}
    return json.dumps(data, indent=2) + "\n"


def to_prometheus(results: Sequence[Named]) -> str:
    """Gauges for node_exporter's textfile collector."""
    lines = [
        "# HELP oopsight_kdump_ready 1 if a crash would leave a dump.",
        "# TYPE oopsight_kdump_ready gauge",
        f"oopsight_kdump_ready {int(worst(results) in {Level.OK, Level.WARN})}",
        "# HELP oopsight_kdump_check 0 ok, 1 warning, 2 broken, 3 unknown.",
        "# TYPE oopsight_kdump_check gauge",
    ]
    lines += [
        f'oopsight_kdump_check{{check="{named.name}"}} {PROMETHEUS[named.result.level]}'
        for named in results
    ]
    return "\n".join(lines) + "\n"
