"""Evidence written down and read again, so that rules can be run without the dump.

A recording is plain JSON: each fact by the place of its class, as :func:`to_plain` shows it. What
is read again equals what was written, which :func:`restore` owes to the facts' annotations.
"""

from __future__ import annotations

import functools
import importlib
import types
import typing
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from oopsight.evidence import Address, Evidence, Missing, to_plain

SCHEMA = "oopsight.evidence/1"
_MISSING = "missing"


class BadRecordingError(ValueError):
    """A recording does not fit the facts of this version."""


def record(evidence: Evidence) -> dict[str, Any]:
    """Write down every fact that was asked for so far."""
    facts = {}
    for kind, fact in evidence.facts.items():
        plain = to_plain(fact)
        facts[f"{kind.__module__}.{kind.__qualname__}"] = (
            {_MISSING: plain} if isinstance(fact, Missing) else plain
        )
    return {"schema": SCHEMA, "facts": facts}


def restore(recording: dict[str, Any]) -> Evidence:
    """Read a recording; facts that are not in it are missing.

    :raises BadRecordingError: if it is of another schema, or a fact does not fit its class
    """
    if recording.get("schema") != SCHEMA:
        raise BadRecordingError(f"the schema is {recording.get('schema')!r}, not {SCHEMA!r}")
    evidence = Evidence(None)
    for place, plain in recording["facts"].items():
        module, _, name = place.rpartition(".")
        if not module.startswith("oopsight.evidence."):
            raise BadRecordingError(f"{place} is no fact")
        try:
            kind = getattr(importlib.import_module(module), name)
            wanted = Missing if isinstance(plain, dict) and set(plain) == {_MISSING} else kind
            evidence.facts[kind] = _read(plain[_MISSING] if wanted is Missing else plain, wanted)
        except (ImportError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadRecordingError(f"{place}: {error}") from None
    return evidence


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _read(plain: Any, kind: Any) -> Any:
    """Turn a plain value into one of the annotated type."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _read_one_of(plain, arguments)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_read(item, arguments[0]) for item in plain)
        if len(arguments) != len(plain):
            raise ValueError(f"{len(plain)} values, {len(arguments)} wanted")
        return tuple(_read(item, one) for item, one in zip(plain, arguments, strict=True))
    if origin is frozenset:
        return frozenset(_read(item, arguments[0]) for item in plain)
    if origin is dict:
        return {_read_key(k, arguments[0]): _read(v, arguments[1]) for k, v in plain.items()}
    if kind is Any:
        return plain
    if kind is Address:
        return Address(int(plain, 16))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(plain)
    if is_dataclass(kind) and isinstance(kind, type):
        return _read_object(plain, kind)
    if kind is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    if kind is type(None) or kind is None:
        if plain is not None:
            raise ValueError(f"{plain!r} is not null")
        return None
    if type(plain) is not kind:
        raise ValueError(f"{plain!r} is no {kind.__name__}")
    return plain


def _read_key(text: str, kind: Any) -> Any:
    return int(text) if kind is int else _read(text, kind)


def _read_object(plain: Any, kind: type) -> Any:
    known = {"type", "command"}
    names = {field.name for field in fields(kind)}
    if not isinstance(plain, dict) or not set(plain) <= names | known:
        raise ValueError(f"{plain!r} is no {kind.__name__}")
    if plain.get("type", getattr(kind, "TYPE", None)) != getattr(kind, "TYPE", plain.get("type")):
        raise ValueError(f"{plain['type']!r} is no {kind.__name__}")
    hints = _hints(kind)
    return kind(**{name: _read(plain[name], hints[name]) for name in plain if name in names})


def _read_one_of(plain: Any, kinds: tuple[Any, ...]) -> Any:
    """Read the first type that fits; the facts' types are told apart by their members."""
    if plain is None and type(None) in kinds:
        return None
    problems = []
    for kind in kinds:
        try:
            return _read(plain, kind)
        except (ValueError, TypeError, KeyError) as error:
            problems.append(str(error))
    raise ValueError("; ".join(problems)[:300])
