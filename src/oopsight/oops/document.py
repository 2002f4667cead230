"""Crash reports as JSON can hold them: numbers that readers would lose become hex strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oopsight.kinds import Kind
from oopsight.oops.facts import CrashReport, Frame, Instruction

SCHEMA = "oopsight.oops/1"

Document = dict[str, Any]


def document(name: str, reports: Sequence[CrashReport]) -> Document:
    """One object for a log: the first crash's fields on top, the later ones under ``more``.

    :param name: of the log, for the reader
    :return: with ``kind`` ``not-a-crash`` where there is no report
    """
    from oopsight.oops import decoded

    first, *more = [to_plain(decoded(report)) for report in reports] or [_none()]
    return {"schema": SCHEMA, "file": name, **first, "more": more}


def _none() -> Document:
    empty = CrashReport(kind=Kind.NOT_A_CRASH, title="", headline="", first_line=0)
    return {**to_plain(empty), "title": None, "headline": None, "first_line": None}


def to_plain(report: CrashReport) -> Document:
    """One report."""
    access, task = report.access, report.task
    return {
        "title": report.title,
        "kind": report.kind.value,
        "function": report.function,
        "guilty_file": report.guilty_file,
        "headline": report.headline,
        "first_line": report.first_line,
        "trace": [_frame(one) for one in report.trace],
        "passed_over": [{"function": s.function, "reason": s.reason} for s in report.skipped],
        "instruction_pointer": _frame(report.instruction) if report.instruction else None,
        "registers": {name: f"{value:#x}" for name, value in report.registers},
        "code": {"raw": report.code, **_code(report.decoded)} if report.code else None,
        "access": access
        and {
            "address": None if access.address is None else f"{access.address:#x}",
            "kind": access.kind,
            "size": access.size,
        },
        "machine": report.machine,
        "release": report.release,
        "taints": [{"letter": one.letter, "meaning": one.meaning} for one in report.tainted],
        "modules": list(report.modules),
        "last_unloaded": report.last_unloaded,
        "hardware": report.hardware,
        "task": task and {"name": task.name, "pid": task.pid, "cpu": task.cpu},
        "locks_held": list(report.locks_held),
        "stacks": [
            {"role": stack.role, "frames": [_frame(one) for one in stack.frames]}
            for stack in report.stacks
        ],
        "missing": list(report.missing),
    }


def _frame(frame: Frame) -> Document:
    return {
        "function": frame.function,
        "offset": frame.offset,
        "size": frame.size,
        "module": frame.module,
        "file": frame.file,
        "line": frame.line,
        "trust": "unsure" if not frame.reliable else "inlined" if frame.inline else "reliable",
    }


def _code(instruction: Instruction | None) -> Document:
    if instruction is None:
        return {"instruction": None}
    address = instruction.address
    return {
        "instruction": instruction.text,
        "bytes": instruction.bytes,
        "access": instruction.access,
        "size": instruction.size,
        "address": None if address is None else f"{address:#x}",
        "words": instruction.words,
    }
