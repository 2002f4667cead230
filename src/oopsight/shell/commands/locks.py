"""Display who waits for what and who holds it: locks, completions, I/O, with circles of waiting.

The stacks of all tasks in uninterruptible sleep and of the CPUs' tasks are read; what each waits
for is found from the lock's own data and the waiting function's registers.

Examples
    crash> locks
    crash> locks -c
    crash> locks --json
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence import Missing
from oopsight.evidence.hangs.cpus import Cpus
from oopsight.evidence.hangs.waiting import Wait, Waits, waits_of
from oopsight.evidence.modules.modules import Modules

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "locks [-c]"
OPTIONS = {"-c": "only circles of tasks that wait for each other"}


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show waits, what they pile up behind, and circles."""
    waits = _waits(shell)
    if not args.has("-c"):
        out.line(f"{waits.tasks} tasks, {waits.blocked} of them in uninterruptible sleep")
        for wait in waits.victims:
            _wait(wait, out)
        if not waits.victims:
            out.line("nobody is blocked or spins")
        for lock, behind in waits.piles():
            holders = ", ".join(
                f"{h.task.comm} ({h.task.pid}), by its {h.known_by}" for h in lock.holders
            )  # one list
            out.line(f"\n{len(behind)} wait in the end for {lock.title}, held by {holders}")
    circles = waits.cycles()
    for circle in circles:
        out.line("\na circle, in which each waits for what the next one holds:")
        for wait in circle:
            title = wait.lock.title if wait.lock else "nothing known"
            out.line(f"  {wait.task.comm} ({wait.task.pid}) waits for {title}")
    if not circles:
        out.line("\nno circle of waiting is found")


def _waits(shell: Shell) -> Waits:
    if "waits" not in shell.cache:
        known = shell.evidence.get(Waits)
        if isinstance(known, Missing):
            known = waits_of(shell.session, shell.evidence.get(Cpus), shell.evidence.get(Modules))
        shell.cache["waits"] = known
    found: Waits = shell.cache["waits"]
    return found


def _wait(wait: Wait, out: Out) -> None:
    lock = wait.lock
    title = lock.title if lock else "what it waits for is not known"
    since = f", {wait.seconds:.1f} s" if wait.seconds is not None else ""
    mode = f" to {lock.mode}" if lock and lock.mode else ""
    call = f" in {wait.call.function}" if wait.call else ""
    out.row(
        f"PID: {wait.task.pid:<7}  TASK: {wait.task.address:x}  {wait.task.comm}: "
        f"{title}{mode}{call}{since}",
        pid=wait.task.pid,
        task=wait.task.address,
        command=wait.task.comm,
        waits_for=title,
        address=lock.address if lock else None,
        mode=lock.mode if lock else None,
        seconds=wait.seconds,
        holders=[h.task.pid for h in lock.holders] if lock else [],
    )
    for holder in lock.holders if lock else ():
        who = f"{holder.task.comm} ({holder.task.pid})"
        state = "" if holder.alive else ", which has exited"
        out.line(f"    held by {who}{state}, known by: {holder.known_by}")
