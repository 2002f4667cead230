"""The mail to whoever has to mend the module at fault: short, and without names of the machine."""

from __future__ import annotations

from typing import Any

_CERTAINTY = {
    "shown": "Every step below is read from the dump.",
    "inferred": "The steps below are read from the dump; one conclusion between them is drawn.",
    "possible": "The steps below are read from the dump; other causes agree with them as well.",
}


def mail(verdict: dict[str, Any], chain: list[dict[str, Any]], release: str | None) -> str | None:
    """Write it; ``None`` where no module is to blame.

    :param verdict: of the report
    :param chain: of the report; the steps that name programs and files of the machine stay out
    """
    culprit = verdict["culprit"] or {}
    module = culprit.get("module")
    if not module or verdict["certainty"] not in _CERTAINTY:
        return None
    private = {"task", "file"}
    steps = [
        step["claim"]
        for step in chain
        if not any(pointer["type"] in private for pointer in step["because"])
    ]
    where = f" in {verdict['faulting_function']}()" if verdict["faulting_function"] else ""
    lines = [
        f"Subject: {module}: {verdict['title']}, Linux {release or 'of unknown release'}",
        "",
        f"A machine of ours with Linux {release or 'of unknown release'} and your module {module} "
        f"crashed{where}. {verdict['summary']}",
        "",
        f"What the crash dump shows. {_CERTAINTY[verdict['certainty']]}",
        *(f"{number}. {claim}" for number, claim in enumerate(steps, 1)),
        "",
        "Please tell us in which version this is mended, and what to do until then. "
        "We keep the dump and can look up more in it.",
    ]
    return "\n".join(lines)
