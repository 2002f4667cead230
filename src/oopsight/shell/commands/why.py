"""Say why the machine went down, with the chain of proof; `why N` repeats step N on the dump.

Each step names the commands that show what carries it; with its number they are run.

Examples
    crash> why
    crash> why 3
    crash> why -e
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oopsight.report import Report
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "why [-e] [step]"
OPTIONS = {"-e": "what every rule found, and what could not be checked"}
MOST_COMMANDS = 20


def report_of(shell: Shell) -> Report:
    """The dump's report, made once."""
    if "report" not in shell.cache:
        from oopsight.report import report_on

        shell.cache["report"] = report_on(shell.evidence, shell.session)
    found: Report = shell.cache["report"]
    return found


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show the verdict, or a step's evidence."""
    from oopsight.shell import CommandError

    report = report_of(shell)
    chain = report["chain"]
    if args.rest:
        word = args.rest[0]
        if not word.isdecimal() or not 1 <= int(word) <= len(chain):
            raise CommandError(f"{word}: the chain has steps 1 to {len(chain)}")
        _repeat(shell, int(word), chain[int(word) - 1], out)
        return
    verdict = report["verdict"]
    out.line(verdict["title"])
    out.line(verdict["summary"])
    kind, certainty = verdict["kind"], verdict["certainty"]
    out.line(f"certainty: {certainty}  kind: {kind}  cause: {verdict['cause'] or 'unknown'}")
    out.line()
    for number, step in enumerate(chain, 1):
        out.line(f"{number:3}. {step['claim']}")
        commands = _commands(step)
        for command in commands:
            out.line(f"       crash> {command}")
        out.row(None, step=number, claim=step["claim"], commands=commands)
    for advice in verdict["advice"]:
        out.line(f"  - {advice}")
    if args.has("-e"):
        _rules(report, out)


def _commands(step: dict[str, Any]) -> list[str]:
    """Each command once, in order."""
    return list(dict.fromkeys(p["command"] for p in step["because"] if p.get("command")))


def _repeat(shell: Shell, number: int, step: dict[str, Any], out: Out) -> None:
    out.line(f"{number}. {step['claim']}")
    commands = _commands(step)
    for command in commands[:MOST_COMMANDS]:
        out.line(f"\ncrash> {command}")
        problem = shell.execute(command, out.write)
        if problem:
            out.line(problem)
    out.row(None, step=number, claim=step["claim"], commands=commands)


def _rules(report: Report, out: Out) -> None:
    out.line()
    for finding in report["findings"]:
        out.line(f"found by {finding['rule']}: {finding['title']} ({finding['certainty']})")
    for undecided in report["undecided"]:
        out.line(f"not checked by {undecided['rule']}: {undecided['why']}")
