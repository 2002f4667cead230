"""What a module's functions have printed: the kernel log has a line that only one of them prints.

A message of a function in the log says that it ran, and when. It serves to choose between suspects.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.log import Log
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.pointers import LogPointer
from oopsight.plumbing import base_name
from oopsight.session import Session

_LONGEST = 256
_MOST_FORMATS = 256
_MOST_LINES = 400
_LEAST_LETTERS = 6
"""Of a format, outside its conversions: what is shorter may be anybody's."""
_LEVEL = re.compile("\x01[0-7c]")  # KERN_SOH, include/linux/kern_levels.h
_CONVERSION = re.compile(
    r"%(?:%|[-+ #0]*(?:\d+|\*)?(?:\.(?:\d+|\*)?)?[hlLzt]*(?:p\w*|[a-oq-zA-Z]))"
)
_SAYS = 3
"""A line that functions more than these can have printed tells of none."""


@dataclass(frozen=True)
class Printed:
    """A line of the log that a function has printed, the last one."""

    function: str
    line: LogPointer


@dataclass(frozen=True)
class Prints:
    """Of a module under suspicion."""

    module: str
    found: tuple[Printed, ...]

    def of(self, module: str | None, function: str | None) -> LogPointer | None:
        """What a function has printed."""
        if module != self.module:
            return None
        return next((one.line for one in self.found if one.function == function), None)


def collect(
    session: Session,
    log: Log,
    modules: Modules,
    doers: Doers | Missing,
    writers: StateWriters | Missing,
) -> Prints | Missing:
    """Hold the format strings of a module's functions against the log before the crash."""
    asked = [one for one in (doers, writers) if not isinstance(one, Missing)]
    module = next((m for one in asked for m in modules.loaded if m.name == one.module), None)
    if module is None:
        return Missing(Why.NOT_APPLICABLE, "no functions of a module are to be told apart")
    return Prints(module.name, printed_by(session, log, module))


def printed_by(session: Session, log: Log, module: Module) -> tuple[Printed, ...]:
    """What the functions of a module have printed before the crash."""
    end = log.crashes[0].first_line if log.crashes else len(log.lines)
    said = {
        line.text: line
        for number, line in enumerate(log.lines[:end])
        if number not in log.user and number >= end - _MOST_LINES
    }
    reader = SessionReader(session)
    found: dict[str, list[str]] = {}
    for one in inner_functions(session, module, reader):
        for pattern in _formats(reader, module, one):
            for text in said:
                if pattern.search(text):
                    found.setdefault(text, []).append(base_name(one.name))
    printed: dict[str, LogPointer] = {}
    for text, names in found.items():
        if len(set(names)) <= _SAYS:
            for name in names:
                last = printed.get(name)
                if last is None or last.seconds <= said[text].seconds:
                    printed[name] = said[text]
    return tuple(Printed(name, line) for name, line in printed.items())


def _formats(reader: SessionReader, module: Module, one: ModuleFunction) -> list[re.Pattern[str]]:
    """What lines look like that a function prints."""
    found: list[re.Pattern[str]] = []
    for at in sorted(one.refers)[:_MOST_FORMATS]:
        if not any(begin <= at < end for begin, end in module.ranges):
            continue
        text = _text(reader, at)
        pattern = _pattern(text) if text is not None else None
        if pattern is not None:
            found.append(pattern)
    return found


def _text(reader: SessionReader, at: int) -> str | None:
    data = reader.read(at, _LONGEST) or reader.read(at, _LONGEST // 8) or b""
    text, end, _ = data.partition(b"\0")
    try:
        return text.decode("ascii") if end and text else None
    except UnicodeDecodeError:
        return None


def _pattern(text: str) -> re.Pattern[str] | None:
    r"""A format string as a pattern; ``None`` where it says too little to be known again.

    >>> bool(_pattern("\x016sealbox: algorithm %s is not offered\n").search(
    ...     "sealbox: algorithm md99 is not offered"))
    True
    """
    bare = _LEVEL.sub("", text, count=1).rstrip("\n")
    if not bare.isprintable():
        return None
    literal = _CONVERSION.split(bare)
    if sum(letter.isalpha() for part in literal for letter in part) < _LEAST_LETTERS:
        return None
    return re.compile(".{0,64}?".join(re.escape(part) for part in literal) + "$")
