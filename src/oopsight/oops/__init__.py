r"""Console text in, crash reports out: dmesg, serial and netconsole logs, pstore, vmcore-dmesg.txt.

>>> [report.kind.value for report in parse("divide error: 0000 [#1] SMP\nRIP: 0010:f+0x1/0x2")]
['divide-error']

The text is read as a stream: a log of any size takes the memory of one report for each CPU or task
that prints one at the same time. Importing this package imports no other layer of Oopsight and
nothing heavy; patterns are compiled when a line first needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oopsight.oops.facts import (
    Access,
    CrashReport,
    Frame,
    Instruction,
    Skipped,
    Stack,
    Taint,
    Task,
)

__all__ = [
    "Access",
    "CrashReport",
    "Frame",
    "Instruction",
    "Skipped",
    "Stack",
    "Taint",
    "Task",
    "decoded",
    "parse",
    "parse_blocks",
    "parse_stream",
]


def decoded(report: CrashReport) -> CrashReport:
    """The report with the instruction at fault disassembled, where its text carries the bytes."""
    from oopsight.oops import code

    return code.decoded(report)


def parse_stream(lines: Iterable[str]) -> Iterator[CrashReport]:
    """Crash reports in the order of their headlines, each as soon as it is complete."""
    from oopsight.oops.stream import Reader

    reader = Reader()
    for raw in lines:
        yield from reader.line(raw)
        if reader.full:
            return
    yield from reader.close()


def parse_blocks(blocks: Iterable[bytes]) -> Iterator[CrashReport]:
    """As :func:`parse_stream`, from pieces of a file of any size: most lines are never decoded."""
    from oopsight.oops.stream import read_blocks

    return read_blocks(blocks)


def parse(text: str | Iterable[str]) -> tuple[CrashReport, ...]:
    """Every crash report of a log, the first one first.

    :param text: the log, whole or in lines; whoever reads bytes decodes with ``errors="replace"``
    :return: no report if the log holds no crash
    """
    if isinstance(text, str):
        return tuple(parse_blocks((text.encode("utf-8", "replace"),)))
    return tuple(parse_stream(text))
