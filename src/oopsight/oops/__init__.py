r"""Console text in, crash reports out: dmesg, serial and netconsole logs, pstore, vmcore-dmesg.txt.

>>> [report.kind.value for report in parse("divide error: 0000 [#1] SMP\nRIP: 0010:f+0x1/0x2")]
['divide-error']

The text is read as a stream: a log of any size takes the memory of one report. Importing this
package imports no other layer of Oopsight and nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from oopsight.oops.facts import CrashReport, Frame, Skipped, Stack, Task
from oopsight.oops.families import Format, formats, triggers
from oopsight.oops.lines import Line, messages
from oopsight.oops.report import build
from oopsight.oops.trace import frame

__all__ = ["CrashReport", "Frame", "Skipped", "Stack", "Task", "parse", "parse_stream"]

# A report is a screenful to a few hundred lines (every CPU's backtrace); the rest is the log.
MOST_LINES = 800
MOST_REPORTS = 200
# Headlines of this rank tell how a report ends, where one is open.
_CONSEQUENCE = 80


def _headline(text: str) -> tuple[Format, re.Match[str]] | None:
    if not any(trigger in text for trigger in triggers()):
        return None
    for format_ in formats():
        if format_.trigger in text:
            match = format_.pattern.search(text)
            if match:
                return format_, match
    return None


def _belongs(format_: Format, collected: list[Line], text: str, new: Format) -> bool:
    """Whether a second headline is part of the report that is open."""
    if new.rank >= _CONSEQUENCE:
        return True
    if new is format_ and collected[-1].text.endswith("[inline]"):
        # A symbolised headline is repeated for every inlined call.
        return True
    if new.trigger in text and any(word in text for word in format_.leads_to):
        return len(collected) < 12 and not any(frame(line.text) for line in collected)
    return False


def parse_stream(lines: Iterable[str]) -> Iterator[CrashReport]:
    """Crash reports in the order of their headlines, each as soon as it is complete."""
    opened: tuple[Format, re.Match[str]] | None = None
    collected: list[Line] = []
    count = 0
    words = triggers()
    for number, raw in enumerate(lines):
        # Between reports only what may be a headline is cleaned: cleaning is dear.
        if opened is None and not any(word in raw for word in words):
            continue
        for line in messages((raw,), number):
            found = _headline(line.text)
            if opened and (
                len(collected) >= MOST_LINES
                or (found and not _belongs(opened[0], collected, line.text, found[0]))
            ):
                yield build(*opened, collected)
                count += 1
                opened, collected = None, []
                if count >= MOST_REPORTS:
                    return
            if opened:
                collected.append(line)
            elif found:
                opened, collected = found, [line]
    if opened:
        yield build(*opened, collected)


def parse(text: str | Iterable[str]) -> tuple[CrashReport, ...]:
    """Every crash report of a log, the first one first.

    :param text: the log, whole or in lines; whoever reads bytes decodes with ``errors="replace"``
    :return: no report if the log holds no crash
    """
    return tuple(parse_stream(text.split("\n") if isinstance(text, str) else text))
