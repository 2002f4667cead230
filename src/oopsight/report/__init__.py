"""The report: plain data, from which every output format is made.

The schema is versioned; ``schema.json`` beside this file describes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from oopsight.diagnosis import Finding, Undecided, diagnose, rule_modules, verdict
from oopsight.diagnosis.damage import allow_for_damage, lowered
from oopsight.diagnosis.out_of_tree import allow_for_out_of_tree
from oopsight.diagnosis.unknown import unknown
from oopsight.evidence import Evidence, Missing, to_plain
from oopsight.evidence.address import BadAddress
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.code import Code
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.crash.file_accessed import FileAccessed
from oopsight.evidence.crash.frame_basis import FrameBasis, frame_basis
from oopsight.evidence.crash.integrity import Integrity
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.crash.system import System
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.crash.timeline import Timeline
from oopsight.evidence.modules.dangling import DanglingPointers, takes_long
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.unloaded_modules import UnloadedModules
from oopsight.kinds import Kind
from oopsight.plumbing import base_name
from oopsight.report.mail import mail
from oopsight.report.sources import add_sources
from oopsight.session import Session

SCHEMA = "oopsight.report/1"
# Facts that a reader of the report wants even where no rule asked for them.
SHOWN = (
    System,
    Symptom,
    Log,
    Backtrace,
    Fault,
    BadAddress,
    Code,
    CrashedTask,
    FileAccessed,
    Modules,
    UnloadedModules,
    Timeline,
)

Report = dict[str, Any]
"""JSON-able; see ``schema.json``."""


def import_rules(enough: Callable[[], bool]) -> None:
    """Import rules, and with them the facts that they ask for, until it is enough."""
    for _ in rule_modules():
        if enough():
            return


def analyze(session: Session, *, alone: bool = False) -> Report:
    """Collect the facts, apply the rules, and draw the verdict.

    :param alone: whether nothing else goes on in this process, so that it can be forked
    """
    evidence = Evidence(session)
    if alone:
        _collect_beside(evidence)
    return report_on(evidence, session)


def report_on(evidence: Evidence, session: Session) -> Report:
    """Make the report on an open dump: with the source lines of the functions that are named.

    These are no fact, for which functions are named comes of the facts.
    """
    report = build(evidence)
    add_sources(report["verdict"], session, evidence.get(Modules))
    return report


def _collect_beside(evidence: Evidence) -> None:
    """Begin with what takes longest, where it is needed at all."""
    from oopsight.evidence.beside import is_possible

    modules, fault = evidence.get(Modules), evidence.get(Fault)
    if is_possible() and isinstance(modules, Modules) and takes_long(modules, fault):
        evidence.collect_beside(DanglingPointers)


def build(evidence: Evidence, release: str | None = None) -> Report:
    """Make the report of some evidence.

    :param release: the kernel's, where the evidence itself does not tell it
    """
    for kind in SHOWN:
        evidence.get(kind)
    integrity = evidence.get(Integrity)
    outcomes = allow_for_damage(diagnose(evidence), integrity)
    cause, best = verdict(outcomes) or (None, lowered(unknown(evidence), integrity))
    best = allow_for_out_of_tree(
        cause, best, evidence.get(System), evidence.get(Modules), evidence.get(UnloadedModules)
    )
    if cause is not None:
        outcomes[cause] = best
    summed_up, chain = _verdict(evidence, cause, best), to_plain(best.chain)
    system = _fact(evidence, System)
    if system is not None:
        release = system.release
    return {
        "schema": SCHEMA,
        "dump": _dump(evidence),
        "verdict": summed_up,
        "chain": chain,
        "mail": mail(summed_up, chain, release),
        "timeline": _timeline(evidence),
        "findings": [
            {"rule": name, **to_plain(outcome), "kind": _kind(evidence, outcome).value}
            for name, outcome in outcomes.items()
            if isinstance(outcome, Finding)
        ],
        "undecided": [
            {"rule": name, "why": outcome.why}
            for name, outcome in outcomes.items()
            if isinstance(outcome, Undecided)
        ],
        "evidence": {
            kind.__module__.rpartition(".")[2]: _missing(fact)
            if isinstance(fact, Missing)
            else to_plain(fact)
            for kind, fact in evidence.facts.items()
        },
        "timings": evidence.seconds,
    }


def _dump(evidence: Evidence) -> dict[str, Any] | None:
    if evidence.session is None:
        return None
    info = evidence.session.info
    return {
        "format": info.format,
        "release": info.release,
        "build_id": info.build_id,
        "problems": list(info.problems),
        "minicore": info.minicore,
        "symbols": to_plain(evidence.session.symbols.attempts),
        "basis": evidence.session.symbols.basis,
        "frames": to_plain(_frame_basis(evidence, evidence.session)),
    }


def _frame_basis(evidence: Evidence, session: Session) -> tuple[FrameBasis, ...]:
    backtrace = _fact(evidence, Backtrace)
    return frame_basis(session, backtrace) if backtrace else ()


def _missing(fact: Missing) -> dict[str, Any]:
    return {"missing": to_plain(fact)}


def _fact(evidence: Evidence, kind: type) -> Any:
    fact: Any = evidence.get(kind)
    return None if isinstance(fact, Missing) else fact


def _kind(evidence: Evidence, finding: Finding) -> Kind:
    """The finding's own symptom where it names one, else the crash's."""
    symptom = _fact(evidence, Symptom)
    return finding.kind or (symptom.kind if symptom else Kind.OTHER)


def _verdict(evidence: Evidence, cause: str | None, found: Finding) -> dict[str, Any]:
    fault, task = _fact(evidence, Fault), _fact(evidence, CrashedTask)
    accessed = _fact(evidence, FileAccessed)
    culprits = to_plain(found.culprits)
    keys = ("module", "function", "source", "object")
    return {
        "title": found.title,
        "kind": _kind(evidence, found).value,
        "cause": cause,
        "summary": found.summary,
        "certainty": found.certainty.value,
        "cause_certainty": (found.cause_certainty or found.certainty).value,
        "culprit": {key: culprits[0][key] for key in keys} if culprits else None,
        "culprits": culprits,
        "innocent": to_plain(found.innocent),
        "faulting_function": _function(fault),
        "fault_address": str(fault.address) if fault and fault.address is not None else None,
        "file_accessed": accessed.file.path if accessed else None,
        "trigger": _trigger(task, _fact(evidence, Symptom)),
        "advice": advice(found),
    }


def advice(found: Finding) -> list[str]:
    """What the finding advises; before it where to look, if that is told by its culprit alone."""
    first = found.culprits[0] if found.culprits else None
    said = " ".join((found.title, found.summary, *found.advice))
    if (
        first is None
        or first.function is None
        or re.search(rf"\b{re.escape(first.function)}\b", said)
    ):
        return list(found.advice)
    owner = f" [{first.module}]" if first.module else ""
    return [f"Look first at {first.function}{owner}: {first.why}.", *found.advice]


def _trigger(task: CrashedTask | None, symptom: Symptom | None) -> dict[str, Any] | None:
    """The task that crashed: from memory, or as the log named it where memory lacks it."""
    if task:
        ancestry = [{"pid": t.pid, "comm": t.comm} for t in task.ancestry]
        return {"pid": task.pid, "comm": task.comm, "ancestry": ancestry}
    logged = symptom.report.task if symptom and symptom.report else None
    if logged is None:
        return None
    named: dict[str, Any] = {"pid": logged.pid, "comm": logged.name}
    return {**named, "ancestry": [named]}


def _function(fault: Fault | None) -> str | None:
    """The faulting function's name; where the program counter itself was bad there is none."""
    return None if fault is None or fault.function.startswith("0x") else base_name(fault.function)


def _timeline(evidence: Evidence) -> list[dict[str, Any]]:
    timeline = _fact(evidence, Timeline)
    return to_plain(timeline.events) if timeline else []
