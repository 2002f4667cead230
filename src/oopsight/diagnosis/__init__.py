"""Rules: facts in, :class:`Finding`, :class:`Clear` or :class:`Undecided` out; one file each.

A rule is the function named after its file under ``rules/``. Its parameters' annotations are the
facts it needs; where a required one is missing, the answer is ``Undecided`` and the rule is not
called. The file's docstring is its documentation, in fixed sections (:data:`SECTIONS`).
"""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import ClassVar

from oopsight.diagnosis import rules
from oopsight.evidence import Evidence, Missing
from oopsight.evidence.pointers import Pointer
from oopsight.kinds import Kind

SECTIONS = (
    "Finds",
    "Why it happens",
    "How it is decided",
    "When it is wrong",
    "Example",
    "Look next",
)


class Certainty(str, Enum):
    """How far a verdict is carried by the dump."""

    SHOWN = "shown"
    """Every step is read from the dump."""
    INFERRED = "inferred"
    """The steps are read from the dump; one conclusion between them is drawn, and named."""
    POSSIBLE = "possible"
    """It agrees with the dump, and so may other causes."""
    UNKNOWN = "unknown"


class Depth(int, Enum):
    """How close to the cause a finding comes; the deepest becomes the verdict."""

    SYMPTOM = 1
    MECHANISM = 2
    ROOT_CAUSE = 3


@dataclass(frozen=True)
class Culprit:
    """Who is to blame, as far as known."""

    module: str | None
    function: str | None
    source: str | None
    object: str | None
    why: str


@dataclass(frozen=True)
class Innocent:
    """A module that was near, and why it is not to blame."""

    module: str
    why: str


@dataclass(frozen=True)
class Step:
    """One sentence of the proof, and what in the dump carries it."""

    claim: str
    because: tuple[Pointer, ...]


@dataclass(frozen=True)
class Finding:
    """The rule found what it looks for."""

    outcome: ClassVar[str] = "found"
    title: str
    kind: Kind
    summary: str
    certainty: Certainty
    depth: Depth
    chain: tuple[Step, ...]
    culprits: tuple[Culprit, ...] = ()
    innocent: tuple[Innocent, ...] = ()
    advice: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clear:
    """The rule looked, and what it looks for is not there."""

    outcome: ClassVar[str] = "clear"
    why: str


@dataclass(frozen=True)
class Undecided:
    """The rule could not look."""

    outcome: ClassVar[str] = "undecided"
    why: str


Outcome = Finding | Clear | Undecided


def rule_modules() -> Iterator[ModuleType]:
    """All rules, by name."""
    for info in pkgutil.iter_modules(rules.__path__):
        yield importlib.import_module(f"{rules.__name__}.{info.name}")


def diagnose(evidence: Evidence) -> dict[str, Outcome]:
    """Apply every rule.

    :return: outcome by the rule's name
    """
    outcomes: dict[str, Outcome] = {}
    for module in rule_modules():
        name = module.__name__.rpartition(".")[2]
        rule = getattr(module, name)
        arguments = evidence.arguments(rule)
        if isinstance(arguments, Missing):
            outcomes[name] = Undecided(arguments.detail)
            continue
        try:
            outcomes[name] = rule(**arguments)
        except Exception as error:  # noqa: BLE001  # a rule's defect must not cost the report
            last = traceback.extract_tb(error.__traceback__)[-1]
            outcomes[name] = Undecided(
                f"defect in the rule: {type(error).__name__}: {error} (line {last.lineno})"
            )
    return outcomes


def verdict(outcomes: dict[str, Outcome]) -> tuple[str, Finding] | None:
    """The finding that comes closest to the cause, and its rule's name."""
    strength = {Certainty.SHOWN: 3, Certainty.INFERRED: 2, Certainty.POSSIBLE: 1}
    found = [(name, out) for name, out in outcomes.items() if isinstance(out, Finding)]
    return max(
        found,
        key=lambda item: (item[1].depth, strength.get(item[1].certainty, 0)),
        default=None,
    )
