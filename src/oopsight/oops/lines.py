"""Console bytes to clean lines: the prefixes that loggers put in front of a kernel message go.

Each prefix is named for who writes it. They are taken off one after another, in any order, until
none fits, because loggers stack up: a serial console's log can pass through netconsole and syslog.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# A longer line is no kernel message (LOG_LINE_MAX is 1 KiB); what lies beyond is cut off.
LONGEST = 4096

_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])|[\x00\x07\x08]")

_PREFIXES = (
    # printk's level: <6>, and /dev/kmsg's record header: 6,1234,5678901,-;
    re.compile(r"<\d{1,3}>|\d{1,3},\d+,\d+,[-c+][^;]{0,40};"),
    # printk's clock, with the caller of CONFIG_PRINTK_CALLER: [   12.345678][ T123]
    re.compile(r"\[ *\d{1,8}\.\d{1,9}\](?:\[ *(?P<context>[TC]\d+)\])? ?"),
    re.compile(r"\[ *(?P<context>[TC]\d+)\] ?"),
    # dmesg -T, and journalctl -k: a date; Android's console: a bare clock and CPU
    re.compile(r"\[\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\] ?"),
    re.compile(r"\w{3} [ \d]\d \d\d:\d\d:\d\d [\w.-]{1,64} (?:kernel|klogd)(?:\[\d+\])?: ?"),
    re.compile(r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d[.,]?\d{0,9}(?:Z|[+-]\d\d:?\d\d)? ?"),
    # a collector's name for the line
    re.compile(r"(?:[\w.-]{1,64} )?kernel: ?"),
    re.compile(r"(?:KERN|console|kern\.\w{1,8})\s?[:|]\s?"),
    # lost output, told in the same line
    re.compile(r"\*\* \d+ printk messages dropped \*\* ?"),
)
# A console line that starts in the middle of another program's output.
_EMBEDDED = re.compile(r"\[ *\d{1,6}\.\d{6}\](?:\[ *[TC]\d+\])? ")


class Line(NamedTuple):
    """One message without its prefixes; ``context`` is its task or CPU (``T123``, ``C0``)."""

    number: int
    text: str
    context: str | None


def clean(raw: str) -> tuple[str, str | None]:
    """Take off what is not the kernel's message.

    >>> clean("<4>[    1.250000][ T41] Oops: 0000 [#1] SMP")
    ('Oops: 0000 [#1] SMP', 'T41')
    """
    text = _ESCAPE.sub("", raw[:LONGEST]).rstrip()
    context: str | None = None
    position = 0
    for _ in range(8):
        for prefix in _PREFIXES:
            match = prefix.match(text, position)
            if match and match.end() > position:
                context = match.groupdict().get("context") or context
                position = match.end()
                break
        else:
            break
    return text[position:], context


def messages(raw: Iterable[str], first: int = 0) -> Iterator[Line]:
    r"""Clean lines; ``\r`` ends a line as ``\n`` does, and a message inside a line is its own."""
    for number, whole in enumerate(raw, first):
        for part in whole[:LONGEST].replace("\r", "\n").split("\n"):
            if not part.strip():
                continue
            text, context = clean(part)
            embedded = _EMBEDDED.search(text)
            if embedded and embedded.start() > 0:
                yield Line(number, text[: embedded.start()].rstrip(), context)
                text, context = clean(text[embedded.start() :])
            yield Line(number, text, context)
