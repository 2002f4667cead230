"""No root file system, or no init on it.

Finds
    A boot that ended because the kernel could not mount its root or start a first program.

Why it happens
    A wrong ``root=``, an initramfs without the disk's driver or damaged, a disk that is gone.

How it is decided
    The panic's message is that of the kernel's own boot code for it.

When it is wrong
    The message is unmistakable; which of the causes it was, only the lines before it can tell.

Example
    ``VFS: Unable to mount root fs on unknown-block(0,0)``: no device by that name was there.

Look next
    ``log`` for the disks found, and for the command line.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Depth, Finding, Step, Undecided
from oopsight.evidence import Missing
from oopsight.evidence.crash.log import Log

_MESSAGES = {
    "VFS: Unable to mount root fs": "the root file system could not be mounted",
    "No working init found": "no program could be started as init",
    "Requested init": "the init asked for on the command line could not be started",
    "No filesystem could mount root": "no file system driver knew the root device's format",
}
_PANIC = "Kernel panic - not syncing"
_HINTS = (
    "VFS: Cannot open root device",
    "Please append a correct",
    "initramfs unpacking failed",
    "Initramfs unpacking failed",
    "check access for rdinit",
)


def root_fs_missing(log: Log | Missing) -> Finding | Clear | Undecided:
    """Decide whether the machine found no root to boot from."""
    if isinstance(log, Missing):
        return Undecided(log.detail)
    line = next(
        (x for x in log.lines if _PANIC in x.text and any(m in x.text for m in _MESSAGES)), None
    )
    if line is None:
        return Clear("the root file system was not the trouble")
    meaning = next(text for message, text in _MESSAGES.items() if message in line.text)
    steps = [Step(f"the kernel panicked: {meaning}", (line,))]
    hint = log.find(*_HINTS)
    if hint is not None:
        steps.append(Step(f"before: {hint.text}", (hint,)))
    command = log.find("Kernel command line:", "Command line:")
    if command is not None:
        steps.append(Step("the command line names the root", (command,)))
    return Finding(
        title=f"boot failed: {meaning}",
        summary=f"The machine could not boot: {meaning}.",
        certainty=Certainty.SHOWN,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(steps),
        advice=("Check root= and the initramfs: does it hold the disk's driver?",),
        refines=("panic_called",),
    )
