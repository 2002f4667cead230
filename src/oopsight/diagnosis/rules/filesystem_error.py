"""A file system that stops the machine on damage.

Finds
    A file system that met damaged structures and is mounted so that errors panic.

Why it happens
    The disk or its cable lost or mixed up blocks, a machine wrote to the same disk as another, or
    the file system's code made a mistake before.

How it is decided
    The panic's message is the file system's own, "panic forced after error"; its report in the log
    names device, inode and what was wrong.

When it is wrong
    The dump shows the damage, not who did it.

Example
    ``EXT4-fs error (device loop0): htree_dirblock_to_tree: bad entry in directory``.

Look next
    A check of the file system without repairing; the disk's own error log.
"""

from __future__ import annotations

import re

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided
from oopsight.evidence import Missing
from oopsight.evidence.crash.log import Log

_PANIC = re.compile(
    r"Kernel panic - not syncing: (?P<fs>\w+)[- ](?:fs|panic)\b"
    r".*?\((?:device )?(?P<device>[\w.!-]+)"
)
_IO = ("I/O error, dev", "blk_update_request: I/O error", "Buffer I/O error on dev")


def filesystem_error(log: Log | Missing) -> Finding | Clear | Undecided:
    """Decide whether a file system asked for the panic."""
    if isinstance(log, Missing):
        return Undecided(log.detail)
    found = next(((x, m) for x in log.lines if (m := _PANIC.search(x.text))), None)
    if found is None:
        return Clear("no file system panicked")
    panic, match = found
    name, device = match["fs"], match["device"]
    steps = []
    before = [x for x in log.lines if x.seconds <= panic.seconds]
    io = next((x for x in before if any(m in x.text for m in _IO) and device in x.text), None)
    if io is not None:
        steps.append(Step(f"the disk had failed: {io.text}", (io,)))
    error = next(
        (
            x
            for x in before
            if name in x.text and "error" in x.text and device in x.text and "panic" not in x.text
        ),
        None,
    )
    if error is not None:
        steps.append(Step(f"{name} found damage on {device}: {error.text}", (error,)))
    steps.append(Step("it is mounted with errors=panic", (panic,)))
    return Finding(
        title=f"{name} panics on damage on {device}",
        summary=f"{name} found damaged structures on {device}, which is mounted so that errors "
        "panic.",
        certainty=Certainty.SHOWN,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        culprits=(Culprit(None, None, None, device, "its contents are damaged"),),
        advice=(f"Check {device} with fsck -n, and the disk and its path.",),
        refines=("panic_called",),
    )
