"""From a stream of lines to the reports in it: which lines belong to which report.

Several CPUs print at once. Where the console tells who printed a line (CONFIG_PRINTK_CALLER), each
has its own open report; where it does not, lines go to the report opened last.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator

from oopsight.cheap import dataclass, field
from oopsight.oops.facts import CrashReport
from oopsight.oops.families import Format, headline, triggers
from oopsight.oops.lines import LONGEST, Line, messages
from oopsight.oops.report import build
from oopsight.oops.trace import frame, instruction_pointer

# A report is a screenful to a few hundred lines (every CPU's backtrace); the rest is the log.
MOST_LINES = 800
MOST_REPORTS = 200
MOST_OPEN = 16
# How far behind a report the panic may stand that it ends in.
MOST_BETWEEN = 300
# Headlines of this rank tell how a report ends, where one is open.
_CONSEQUENCE = 80
_NEAR = 12
# A headline that firmware and programs use too is the kernel's where a trace follows so soon.
_TRACED_WITHIN = 20
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
        self._taken = 0
        """Lines before this one belong to a report, should they come again."""

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
        if number < self._taken:
            return
        # Between reports only what may be a headline is cleaned: cleaning is dear.
        if not self._open and not any(word in raw for word in triggers()):
            return
        for line in messages(number, raw):
            self._message(line)
        if self._open or self._waiting:
            self._taken = number + 1
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
        # The end repeats the panic's words.
        found = None if _END in line.text else headline(line.text)
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
        report.traced = report.traced or _traces(line.text)
        if _ends(report, line.text):
            report.ended = True
        idle = report.format.drop and not report.traced and len(report.lines) > _TRACED_WITHIN
        if report.ended or idle or len(report.lines) >= MOST_LINES:
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
        before = self._open.get(line.context)
        if before and not before.traced and _is_tail(before):
            # Its own report is lost, or comes only now: the panic is no crash of its own.
            self._waiting = [one for one in self._waiting if one is not before]
        if len(self._open) >= MOST_OPEN:
            del self._open[next(iter(self._open))]
        opened = _Open(format_, match, [line])
        self._open.pop(line.context, None)
        self._open[line.context] = opened
        self._waiting.append(opened)


def _is_tail(report: _Open) -> bool:
    """Whether the report is nothing but the panic that oops_end() calls behind an oops."""
    return "not syncing: Fatal exception" in report.lines[0].text


def _traces(text: str) -> bool:
    """Whether a line is of a stack trace or a register dump that names the code."""
    return "+0x" in text and (frame(text) or instruction_pointer(text)) is not None


def _belongs(report: _Open, text: str, new: Format) -> bool:
    """Whether a second headline is part of the report that is open."""
    if new is report.format and "[inline]" in report.lines[-1].text:
        # A symbolised headline is repeated for every inlined call.
        return True
    if text == report.lines[0].text and len(report.lines) < _TRACED_WITHIN:
        return True  # two consoles, or panic() through panic()
    if any(word in text for word in report.format.leads_to):
        return len(report.lines) < _NEAR and not report.traced
    return False


def _ends(report: _Open, text: str) -> bool:
    if _END in text:
        return True
    return (
        text.startswith(_RULE)
        and len(report.lines) > _NEAR
        and report.traced
        and any(word in report.lines[0].text for word in _SANITIZERS)
    )


# Words of which any report shows one, in its headline or within LOOK_BACK lines of it. Few first
# characters, and such as are rare in a log, let one search for all of them run fast.
SIGNS = (
    rb"B(?:UG|ad mode in|adness at)",
    rb"C(?:omm: |all [Tt]race|FI failure)",
    rb"I(?:NFO: |nternal error|nsufficient stack|llegal context|RQ: stack)",
    rb"Kernel (?:panic|bug|stack|memory)",
    rb"LOCKUP",
    rb"O(?:ops|bject already free)",
    rb"P(?:ANIC|id: \d)",
    rb"U(?:nable to|nhandled |BSAN|sage count)",
    rb"VFS: Busy",
    rb"WARNING",
    rb"#\d{1,4}\]",  # die() counts: general protection fault: 0000 [#1]
    rb"\(size \d",  # unreferenced object 0xffff8881 (size 64)
)
LOOK_BACK = 8


@functools.cache
def signs() -> re.Pattern[bytes]:
    """All of :data:`SIGNS` at once."""
    return re.compile(b"|".join(SIGNS))


def read_blocks(blocks: Iterable[bytes]) -> Iterator[CrashReport]:
    """Read a log in pieces; where no report is open, look for signs in the bytes alone."""
    reader = Reader()
    # The last lines of the piece before stay at hand, for a sign soon after them.
    seen = rest = b""
    for block in blocks:
        data = rest + block
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) < LONGEST * 16:
            rest = data
            continue
        end = end or len(data)
        rest = data[end:]
        held = seen + data[:end]
        yield from _feed(reader, held, len(seen))
        if reader.full:
            return
        seen = held[_lines_back(held, len(held)) :] if reader.idle else b""
    if rest:
        yield from _feed(reader, seen + rest, len(seen))
    yield from reader.close()


def _lines_back(data: bytes, position: int, least: int = 0) -> int:
    """Start of the line that stands LOOK_BACK lines before the one at a position."""
    for _ in range(LOOK_BACK + 1):
        at = data.rfind(b"\n", least, max(position - 1, least))
        if at < 0:
            return least
        position = at + 1
    return position


def _feed(reader: Reader, data: bytes, fresh: int) -> Iterator[CrashReport]:
    """Lines of ``data``; stretches without a sign are only counted.

    :param fresh: what stands before was counted already, and held no sign
    """
    position = fresh
    while position < len(data):
        if reader.idle:
            sign = signs().search(data, position)
            stop = _lines_back(data, sign.start()) if sign else len(data)
            if stop < position:
                # The lines before, once more, for the sign they lead to.
                reader.number -= data.count(b"\n", stop, position)
            else:
                reader.number += data.count(b"\n", position, stop)
            if sign is None:
                return
            # Read up to the sign whatever comes, or it would be found again.
            yield from _lines(reader, data, stop, sign.end())
            position = _next_line(data, sign.start())
        else:
            position = _next_line(data, position)
            yield from reader.line(_text(data, data.rfind(b"\n", 0, position - 1) + 1, position))
        if reader.full:
            return


def _next_line(data: bytes, position: int) -> int:
    at = data.find(b"\n", position)
    return len(data) if at < 0 else at + 1


def _text(data: bytes, start: int, stop: int) -> str:
    return data[start : min(stop, start + LONGEST)].rstrip(b"\n").decode("utf-8", "replace")


def _lines(reader: Reader, data: bytes, start: int, stop: int) -> Iterator[CrashReport]:
    while start < stop:
        after = _next_line(data, start)
        yield from reader.line(_text(data, start, after))
        start = after
