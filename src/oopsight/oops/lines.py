"""Console bytes to clean lines: the prefixes that loggers put in front of a kernel message go.

Each prefix is named for who writes it. They are taken off one after another, in any order, until
none fits, because loggers stack up: a serial console's log can pass through netconsole and syslog.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

# A longer line is no kernel message (LOG_LINE_MAX is 1 KiB); what lies beyond is cut off.
LONGEST = 4096
MOST_PREFIXES = 10

_CLOCK = r"\[ {0,12}(?P<clock>\d{1,10}\.\d{1,9})(?:[@,]\d{1,3})?\]"
_CALLER = r"\[ {0,8}(?P<context>[TC]\d{1,10})\]"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = r"\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"

PREFIXES = {
    "printk's level": r"<\d{1,3}>",
    "/dev/kmsg and extended netconsole": r"\d{1,3},\d{1,12},\d{1,16},[-c+][^;]{0,60};",
    "printk's clock": _CLOCK + r" ?",
    "the task or CPU that printed (CONFIG_PRINTK_CALLER)": _CALLER + r" ?",
    "MediaTek's CPU and task": r"-?\(\d\)\[\d{1,7}:[^\]]{1,20}\] ?",
    "dmesg -T": rf"\[{_DAY} {_MONTH} [ \d]\d {_TIME} \d{{4}}\] ?",
    "dmesg -x": (
        r"(?:kern|user|daemon) {0,4}: ?(?:emerg|alert|crit|err|warn|notice|info|debug)"
        r" {0,4}: "
    ),
    "syslog and journalctl": rf"{_MONTH} [ \d]\d {_TIME} [\w.:-]{{1,64}} "
    r"(?:kernel|klogd|vmunix)(?:\[\d{1,7}\])?: ?",
    "syslog that has the host alone": (
        rf"{_MONTH} [ \d]\d {_TIME} [\w.:-]{{1,64}} {{1,3}}(?=[\[<])"
    ),
    "a date": rf"\[?\d{{4}}[-/]\d\d[-/]\d\d[T ]{_TIME}(?:Z| ?[+-]\d\d:?\d\d)?\]?:? {{0,4}}",
    "a time of day": rf"\[?(?:\d\d-\d\d )?{_TIME}\]? {{1,4}}",
    "a receiver of netconsole": r"\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?:? {1,4}",
    "a collector's name for the line": r"(?:[\w.-]{1,64} )?kernel: ?",
    "a test bench's name for the console": r"(?:KERN|console|kern\.\w{1,8}) ?[:|] ?",
    "lost output": r"\*\* \d{1,9} printk messages dropped \*\* ?",
}  # fmt: skip


class Line(NamedTuple):
    """One message without its prefixes; ``context`` is its task or CPU (``T123``, ``C0``)."""

    number: int
    text: str
    context: str | None
    seconds: float | None = None
    """Since boot, by printk's clock."""


@functools.cache
def _escape() -> re.Pattern[str]:
    return re.compile(r"\x1b(?:\[[0-9;?]{0,20}[ -/]?[@-~]|[@-Z\\-_])|[\x00-\x08\x0e-\x1a]")


@functools.cache
def _prefix() -> re.Pattern[str]:
    # A group may have its name but once: the alternatives that have none stand around it.
    return re.compile("|".join(PREFIXES.values()))


@functools.cache
def _embedded() -> re.Pattern[str]:
    """A console message that starts in the middle of another program's line."""
    return re.compile(rf"{_CLOCK}(?:\[ {{0,8}}[TC]\d{{1,10}}\])? ")


def clean(raw: str) -> tuple[str, str | None, float | None]:
    """Take off what is not the kernel's message.

    >>> clean("<4>[    1.250000][ T41] Oops: 0000 [#1] SMP")
    ('Oops: 0000 [#1] SMP', 'T41', 1.25)
    """
    text = raw[:LONGEST].rstrip()
    if "\x1b" in text or not text.isprintable():
        text = _escape().sub("", text).rstrip()
    context = clock = None
    position = 0
    match = _prefix().match
    for _ in range(MOST_PREFIXES):
        found = match(text, position)
        if found is None:
            break
        context = found["context"] or context
        clock = found["clock"] or clock
        position = found.end()
    return text[position:], context, float(clock) if clock else None


def messages(number: int, raw: str) -> Iterator[Line]:
    r"""Clean lines; ``\r`` ends a line as ``\n`` does, and a message inside a line is its own."""
    raw = raw[:LONGEST]
    for part in raw.split("\r") if "\r" in raw else (raw,):
        if not part.strip():
            continue
        text, context, seconds = clean(part)
        embedded = _embedded().search(text, 1)
        while embedded:
            yield Line(number, text[: embedded.start()].rstrip(), context, seconds)
            text, inner, seconds = clean(text[embedded.start() :])
            context = inner or context
            embedded = _embedded().search(text, 1)
        yield Line(number, text, context, seconds)
