"""Display what happened before the crash, in order: modules, taints, errors, programs' starts.

Examples
    crash> timeline
    crash> timeline -n 10
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence import Missing
from oopsight.evidence.crash.timeline import Timeline

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "timeline [-n count]"
OPTIONS = {"-n COUNT": "only the last so many"}


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show the events."""
    from oopsight.shell import CommandError

    found = shell.evidence.get(Timeline)
    if isinstance(found, Missing):
        raise CommandError(f"there is no timeline: {found.detail}")
    events = found.events
    count = args.value("-n")
    if count is not None:
        if not count.isdecimal():
            raise CommandError(f"{count}: no count")
        events = events[-int(count) :] if int(count) else ()
    for event in events:
        again = f" (and {event.again} more alike)" if event.again else ""
        out.row(
            f"{event.seconds:>14.6f}  {event.what.value:<8} {event.text}{again}",
            seconds=event.seconds,
            what=event.what.value,
            text=event.text,
            again=event.again,
        )
    if found.left_out:
        out.line(f"[{found.left_out} lines of chatty speakers are left out; log has them]")
