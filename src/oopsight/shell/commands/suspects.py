"""Display who may be to blame: what the rules found, and which foreign modules are in the picture.

Examples
    crash> suspects
    crash> suspects --json
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.unloaded_modules import UnloadedModules
from oopsight.shell.commands.why import report_of

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "suspects"
OPTIONS: dict[str, str] = {}


def run(shell: Shell, args: Args, out: Out) -> None:
    """List culprits, then what else was there, then the innocent."""
    report = report_of(shell)
    named: set[str] = set()
    for finding in report["findings"]:
        for culprit in finding["culprits"]:
            _culprit(finding, culprit, named, out)
    innocent = {row["module"]: row["why"] for row in report["verdict"]["innocent"]}
    _modules(shell, named, innocent, out)
    for name, why in innocent.items():
        if name not in named:
            out.row(f"not to blame  {name}: {why}", who=name, blame="no", why=why)
    if not named and not innocent:
        out.line("nobody: no rule blames anyone, and no foreign module is loaded")


def _culprit(finding: dict[str, Any], culprit: dict[str, Any], named: set[str], out: Out) -> None:
    who = culprit["module"] or culprit["function"] or culprit["object"] or "unknown"
    if who in named:
        return
    named.add(who)
    where = f", {culprit['function']}" if culprit["function"] and culprit["function"] != who else ""
    out.row(
        f"{finding['certainty']:<13} {who}{where}: {culprit['why']}  [{finding['rule']}]",
        who=who,
        blame=finding["certainty"],
        why=culprit["why"],
        rule=finding["rule"],
    )


def _modules(shell: Shell, named: set[str], innocent: dict[str, str], out: Out) -> None:
    """Tainted modules, those on the stack, and those that are gone: near, which proves nothing."""
    backtrace = shell.evidence.get(Backtrace)
    on_stack = set()
    if not isinstance(backtrace, Missing):
        on_stack = {frame.module for frame in backtrace.crash_path if frame.module}
    modules = shell.evidence.get(Modules)
    rows: list[tuple[str, str]] = []
    if not isinstance(modules, Missing):
        for module in modules.loaded:
            reasons = []
            if module.name in on_stack:
                reasons.append("on the stack of the crash")
            if module.taints:
                reasons.append(f"foreign (taints {module.taints})")
            if reasons:
                rows.append((module.name, ", ".join(reasons)))
    unloaded = shell.evidence.get(UnloadedModules)
    if not isinstance(unloaded, Missing):
        rows += [(m.name, f"unloaded before the crash ({m.known_from})") for m in unloaded.modules]
    for name, why in rows:
        if name not in named and name not in innocent:
            named.add(name)
            out.row(f"{'near':<13} {name}: {why}", who=name, blame="near", why=why)
