"""Facts about a crash: one file each, a frozen dataclass and the ``collect`` that makes it.

A collector declares what it needs as parameter annotations: the :class:`Session`, or other facts.
``Fact | Missing`` takes the reason where the fact is absent; a plain ``Fact`` makes the collector's
own fact missing for the same reason. Facts are collected on demand, once, and timed.

They are grouped by what they are about: ``crash``, ``modules``, ``memory``, ``use_after_free``,
``corruption``, ``exhaustion``, ``hangs``; ``flow`` follows values backwards, ``registries`` is what
the kernel holds pointers in. Beside them stands what all of them use.
"""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
import typing
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from oopsight.cheap import dataclass, field_names, replace
from oopsight.errors import SymbolError
from oopsight.session import LEFT_OUT, Session

if TYPE_CHECKING:
    from oopsight.evidence.beside import Beside

Fact = TypeVar("Fact")


class Address(int):
    """An address or register value; in JSON a hex string, since readers lose 64-bit numbers.

    >>> str(Address(0xffffffffa0395070))
    '0xffffffffa0395070'
    """

    def __str__(self) -> str:
        return f"{int(self):#x}"


class Why(str, Enum):
    """Why a fact is absent."""

    UNREADABLE = "unreadable"
    """The page is filtered out, damaged or never mapped."""
    NO_SYMBOLS = "no-symbols"
    NOT_APPLICABLE = "not-applicable"
    """A crash of this kind has no such fact."""
    NOT_TOLD = "not-told"
    """What is read, console text or a recording, does not hold it; the dump would."""
    FAILED = "failed"
    """A defect of Oopsight; ``detail`` has the traceback."""


@dataclass(frozen=True)
class Missing:
    """A fact that could not be had, with the reason."""

    why: Why
    detail: str
    address: Address | None = None


def _needs(function: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Names of a function's parameters, and the types that each may have.

    Annotations are names, or names with ``|`` between; to have such little text compiled, as
    ``typing.get_type_hints`` does, costs 5 ms an analysis.
    """
    names = function.__globals__
    for parameter, annotation in function.__annotations__.items():
        if parameter == "return":
            continue
        if isinstance(annotation, str):
            yield parameter, tuple(names[part.strip()] for part in annotation.split("|"))
        else:
            yield parameter, typing.get_args(annotation) or (annotation,)


class Evidence:
    """All facts of one session, collected when first asked for."""

    def __init__(self, session: Session | None) -> None:
        self.session = session
        self.facts: dict[type, Any] = {}
        """Each fact asked for so far, or the :class:`Missing` in its place."""
        self.seconds: dict[str, float] = {}
        """Wall time of each collector, its own needs not included."""
        self._beside: dict[type, Beside] = {}

    def get(self, kind: type[Fact]) -> Fact | Missing:
        """Return a fact, collecting it on first use."""
        if kind not in self.facts:
            self.facts[kind] = Missing(Why.FAILED, f"{kind.__name__} needs itself")
            self.facts[kind] = self._from_beside(kind) or self._collect(kind)
        return typing.cast("Fact | Missing", self.facts[kind])

    def collect_beside(self, kind: type) -> None:
        """Begin to collect a fact in a process of its own, once what it needs is collected."""
        from oopsight.evidence.beside import Beside

        self.arguments(vars(sys.modules[kind.__module__])["collect"])
        with contextlib.suppress(OSError):
            self._beside[kind] = Beside(lambda: (self._collect(kind), self.seconds))

    def _from_beside(self, kind: type) -> Any:
        """What was collected in a process of its own, ``None`` where nothing was."""
        beside = self._beside.pop(kind, None)
        answer = beside.answer() if beside else None
        if answer is None:
            return None
        fact, seconds = answer
        self.seconds = seconds | self.seconds
        return fact

    def arguments(self, function: Any) -> dict[str, Any] | Missing:
        """Facts for a collector's or rule's parameters; the reason where a required one is absent.

        :param function: its parameters are annotated with ``Session``, ``Fact`` or
            ``Fact | Missing``
        """
        result: dict[str, Any] = {}
        for name, choices in _needs(function):
            if choices[0] is Session:
                if self.session is None:
                    return Missing(Why.NOT_TOLD, "there is no dump, only its recording")
                result[name] = self.session
                continue
            value: Any = self.get(choices[0])
            if isinstance(value, Missing) and Missing not in choices:
                return Missing(value.why, f"{choices[0].__name__}: {value.detail}", value.address)
            result[name] = value
        return result

    def _collect(self, kind: type) -> Any:
        collect = vars(sys.modules[kind.__module__])["collect"]
        arguments = self.arguments(collect)
        if isinstance(arguments, Missing):
            return arguments
        started = time.perf_counter()
        try:
            return collect(**arguments)
        except Exception as error:  # noqa: BLE001  # one fact's failure must not stop the others
            missing = missing_from(error)
            if self.session and self.session.info.minicore and LEFT_OUT in missing.detail:
                return replace(missing, detail=f"not in this minicore: {missing.detail}")
            return missing
        finally:
            name = kind.__module__.rpartition(".")[2]
            self.seconds[name] = round(time.perf_counter() - started, 4)


def missing_from(error: Exception) -> Missing:
    """Turn what a read of the dump raised into the reason for an absence."""
    from drgn import FaultError, ObjectNotFoundError

    if isinstance(error, FaultError):
        return Missing(Why.UNREADABLE, str(error), Address(error.address))
    if isinstance(error, (ObjectNotFoundError, SymbolError)):
        return Missing(Why.NO_SYMBOLS, str(error).strip("'\""))
    return Missing(Why.FAILED, "".join(traceback.format_exception(error))[-2000:])


_PLAIN = (str, int, type(None), bool, float)


def to_plain(value: Any) -> Any:
    """Facts as JSON can hold them: dataclasses as objects, addresses as hex strings."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    names = field_names(type(value))
    if not names:
        return value
    plain = {name: to_plain(getattr(value, name)) for name in names}
    if hasattr(value, "command"):
        plain["command"] = value.command
    return {"type": value.TYPE, **plain} if hasattr(value, "TYPE") else plain
