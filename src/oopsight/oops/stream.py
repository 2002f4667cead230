"""From a stream of lines to the reports in it: which lines belong to which report.

Several CPUs print at once. Where the console tells who printed a line (CONFIG_PRINTK_CALLER), each
has its own open report; where it does not, lines go to the report opened last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from oopsight.oops.facts import CrashReport
from oopsight.oops.families import Format, headline, triggers
from oopsight.oops.lines import LONGEST, Line, messages
from oopsight.oops.report import build
from oopsight.oops.trace import frame

# A report is a screenful to a few hundred lines (every CPU's backtrace); the rest is the log.
MOST_LINES = 800
MOST_REPORTS = 200
MOST_OPEN = 16
# How far behind a report the panic may stand that it ends in.
MOST_BETWEEN = 300
# Headlines of this rank tell how a report ends, where one is open.
_CONSEQUENCE = 80
_NEAR = 12
_END = "---[ end "
_RULE = "=" * 60
_SANITIZERS = ("BUG: KASAN", "BUG: KMSAN", "BUG: KCSAN", "BUG: KFENCE")


@dataclass
class _Open:
    format: Format
    match: re.Match[str]
    lines: list[Line] = field(default_factory=list)
    traced: bool = False
    ended: bool = False


class Reader:
    """Takes lines, gives reports in the order of their headlines."""

    def __init__(self) -> None:
        self.number = 0
        """Of the next line."""
        self.count = 0
        self._open: dict[str | None, _Open] = {}
        self._waiting: list[_Open] = []
        self._last: int | None = None
        self._words = triggers()

    @property
    def full(self) -> bool:
        """Whether no more reports are taken."""
        return self.count >= MOST_REPORTS

    @property
    def idle(self) -> bool:
        """Whether no report is open: only a line with a trigger can matter."""
        return not self._open

    def line(self, raw: str) -> Iterator[CrashReport]:
        """Take one line without its end."""
        number = self.number
        self.number += 1
        # Between reports only what may be a headline is cleaned: cleaning is dear.
        if not self._open and not any(word in raw for word in self._words):
            return
        for line in messages(number, raw):
            self._message(line)
        yield from self._done()

    def close(self) -> Iterator[CrashReport]:
        """The reports that the end of the log cut off."""
        self._open.clear()
        yield from self._done()

    def _done(self) -> Iterator[CrashReport]:
        """Reports that are complete and not behind one that is still open."""
        while self._waiting:
            first = self._waiting[0]
            if any(one is first for one in self._open.values()):
                return
            self._waiting.pop(0)
            if first.format.drop and not first.traced:
                continue
            self.count += 1
            yield build(first.format, first.match, first.lines)

    def _message(self, line: Line) -> None:
        found = headline(line.text)
        owner = self._owner(line.context)
        report = self._open.get(owner) if owner is not None or None in self._open else None
        if found and found[0].rank >= _CONSEQUENCE and self._follows(line.number, report):
            if report and not report.ended:
                report.lines.append(line)
            return
        if found and not (report and _belongs(report, line.text, found[0])):
            self._start(line, *found)
            return
        if report is None or report.ended:
            return
        report.lines.append(line)
        report.traced = report.traced or ("+0x" in line.text and frame(line.text) is not None)
        if _ends(report, line.text):
            report.ended = True
        if report.ended or len(report.lines) >= MOST_LINES:
            del self._open[owner]
            self._last = line.number

    def _owner(self, context: str | None) -> str | None:
        """The open report that a line by this task or CPU goes to."""
        if context in self._open or not self._open:
            return context
        if context is None or None in self._open:
            return next(reversed(self._open))
        return context

    def _follows(self, number: int, report: _Open | None) -> bool:
        if report or self._open:
            return True
        return self._last is not None and number - self._last < MOST_BETWEEN

    def _start(self, line: Line, format_: Format, match: re.Match[str]) -> None:
        if len(self._open) >= MOST_OPEN:
            del self._open[next(iter(self._open))]
        opened = _Open(format_, match, [line])
        self._open.pop(line.context, None)
        self._open[line.context] = opened
        self._waiting.append(opened)


def _belongs(report: _Open, text: str, new: Format) -> bool:
    """Whether a second headline is part of the report that is open."""
    if new is report.format and "[inline]" in report.lines[-1].text:
        # A symbolised headline is repeated for every inlined call.
        return True
    if any(word in text for word in report.format.leads_to):
        return len(report.lines) < _NEAR and not report.traced
    return False


def _ends(report: _Open, text: str) -> bool:
    if _END in text and "trace" in text:
        return True
    return (
        text.startswith(_RULE)
        and len(report.lines) > _NEAR
        and report.traced
        and any(word in report.lines[0].text for word in _SANITIZERS)
    )


def read_blocks(blocks: Iterable[bytes]) -> Iterator[CrashReport]:
    """Read a log in pieces; where no report is open, look for triggers in the bytes alone."""
    reader = Reader()
    words = tuple(word.encode() for word in triggers())
    rest = b""
    for block in blocks:
        data = rest + block
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) < LONGEST * 16:
            rest = data
            continue
        end = end or len(data)
        rest = data[end:]
        yield from _feed(reader, data, end, words)
        if reader.full:
            return
    if rest:
        yield from _feed(reader, rest, len(rest), words)
    yield from reader.close()


def _feed(reader: Reader, data: bytes, end: int, words: tuple[bytes, ...]) -> Iterator[CrashReport]:
    """Lines of ``data[:end]``; stretches without a trigger are only counted."""
    position = 0
    following = {word: data.find(word, 0, end) for word in words}
    while position < end:
        if reader.idle:
            for word, at in following.items():
                if 0 <= at < position:
                    following[word] = data.find(word, position, end)
            nearest = min((at for at in following.values() if at >= 0), default=-1)
            if nearest < 0:
                reader.number += data.count(b"\n", position, end)
                return
            start = data.rfind(b"\n", position, nearest) + 1
            if start > position:
                reader.number += data.count(b"\n", position, start)
                position = start
        stop = data.find(b"\n", position, end)
        stop = end if stop < 0 else stop
        yield from reader.line(
            data[position : min(stop, position + LONGEST)].decode("utf-8", "replace")
        )
        if reader.full:
            return
        position = stop + 1
