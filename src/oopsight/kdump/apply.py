"""Carrying out a plan, and undoing it. Killed at any point, the host still boots."""

from __future__ import annotations

from dataclasses import dataclass

from oopsight.kdump import journal
from oopsight.kdump.checks import Host
from oopsight.kdump.distros import Command
from oopsight.kdump.errors import KdumpError
from oopsight.kdump.host import Root
from oopsight.kdump.plan import Plan


@dataclass(frozen=True)
class Done:
    """What was done, and the commands left to the admin because the tree is not the live one."""

    files: tuple[str, ...]
    ran: tuple[Command, ...]
    left: tuple[Command, ...]


def install(host: Host, packages: tuple[str, ...]) -> None:
    """Install the distribution's packages.

    :raises KdumpError: not the running machine, or the package manager failed
    """
    command = (*host.distro.installer, *packages)
    if not host.root.is_live:
        raise KdumpError(f"install on the host first: {' '.join(packages)}", 7)
    _run(host, command, 7)


def carry_out(host: Host, plan: Plan) -> Done:
    """Write the files, then run the commands. The packages must be installed before.

    :raises KdumpError: a file cannot be written or a program failed; a second run goes on
    """
    for change in plan.changes:
        content = change.new.encode("utf-8", "surrogateescape")
        journal.enter(host.root, change.path, content)
        host.root.write(change.path, content)
    ran, left = [], []
    for command in plan.commands:
        if not host.root.is_live:
            left.append(command)
            continue
        for path in command.rewrites:
            journal.enter(host.root, path, None)
        _run(host, command.argv, 1)
        ran.append(command)
    return Done(tuple(change.path for change in plan.changes), tuple(ran), tuple(left))


def undo(root: Root, *, force: bool = False) -> tuple[list[str], list[str]]:
    """Bring every changed file back, byte for byte.

    :param force: also files that someone else changed since
    :return: the paths brought back, and those left alone because they were changed since
    """
    entries = journal.load(root)
    restored, kept = [], []
    remaining = list(entries)
    for entry in reversed(entries):
        now = root.read_bytes(entry.path)
        old = root.read_bytes(entry.backup) if entry.backup else None
        if entry.backup and old is None:
            raise KdumpError(f"the backup {entry.backup} of {entry.path} is gone")
        foreign = now is not None and entry.written and journal.digest(now) not in entry.written
        if now != old and foreign and not force:
            kept.append(entry.path)
            continue
        if old is None:
            root.remove(entry.path)
        elif now != old:
            root.write(entry.path, old)
        restored.append(entry.path)
        remaining.remove(entry)
        journal.save(root, remaining)
        if entry.backup:
            root.remove(entry.backup)
    if not remaining:
        root.remove(journal.JOURNAL)
    return restored, kept


def _run(host: Host, argv: tuple[str, ...], exit_code: int) -> None:
    ran = host.probe.run(argv)
    if ran is None:
        raise KdumpError(f"cannot run {argv[0]}: not installed, or it took too long", 7)
    if ran.code:
        last = (ran.err or ran.out).strip().splitlines()[-1:] or ["no message"]
        raise KdumpError(f"{' '.join(argv)} failed ({ran.code}): {last[0]}", exit_code)
