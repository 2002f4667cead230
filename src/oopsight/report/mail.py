"""The mail to whoever has to mend the module at fault: short, and without names of the machine."""

from __future__ import annotations

from typing import Any

from oopsight.report.words import blamed_as

_CERTAINTY = {
    "shown": "Every step below is read from the dump.",
    "inferred": "The steps below are read from the dump; one conclusion between them is drawn.",
    "possible": "The steps below are read from the dump; other causes agree with them as well.",
}

# What became of a machine that did not crash of itself, by kind.
_FATE = {
    "hung-task": "hung",
    "soft-lockup": "hung",
    "hard-lockup": "hung",
    "rcu-stall": "hung",
    "oom": "ran out of memory",
}


def mail(verdict: dict[str, Any], chain: list[dict[str, Any]], release: str | None) -> str | None:
    """Write it; ``None`` where no module is to blame.

    :param verdict: of the report
    :param chain: of the report; steps about the machine's files, or its programs alone, stay out
    """
    culprit = verdict["culprit"] or {}
    module = culprit.get("module")
    if not module or verdict["certainty"] not in _CERTAINTY:
        return None
    steps = [step["claim"] for step in chain if not _private(step)]
    where = f" in {verdict['faulting_function']}()" if verdict["faulting_function"] else ""
    lines = [
        f"Subject: {module}: {verdict['title']}, Linux {release or 'of unknown release'}",
        "",
        f"A machine of ours with Linux {release or 'of unknown release'} and your module {module} "
        f"{_FATE.get(verdict['kind'], 'crashed')}{where}. {verdict['summary']}",
        "",
        f"What the crash dump shows. {_CERTAINTY[verdict['certainty']]}",
        *(f"{number}. {claim}" for number, claim in enumerate(steps, 1)),
        *_suspects(verdict, module),
        "",
        "Please tell us in which version this is mended, and what to do until then. "
        "We keep the dump and can look up more in it.",
    ]
    return "\n".join(lines)


def _suspects(verdict: dict[str, Any], module: str) -> list[str]:
    """The module's functions that are named, the likeliest first, each with the reason."""
    named = [
        f"- {culprit['function']}(): {culprit['why']}"
        for culprit in verdict["culprits"]
        if culprit["module"] == module and culprit["function"]
    ]
    first = "To blame" if blamed_as(verdict) == "to blame" else "Suspected, the likeliest first"
    return ["", f"{first}:", *named] if named else []


def _private(step: dict[str, Any]) -> bool:
    types = {pointer["type"] for pointer in step["because"]}
    return "file" in types or types == {"task"}
