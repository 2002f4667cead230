"""After the reboot: analyse each new dump, leave the report beside it, tell the admin.

systemd starts this at boot and whenever the dump folder changes. It never fails because an
analysis does: what could not be analysed is said in ``report.txt``, and is tried again next time
since only ``report.json`` marks a dump as done.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from oopsight.kdump import last
from oopsight.kdump.checks import Host
from oopsight.kdump.target import Kind, Target

MOTD = "/etc/motd.d/oopsight"
HOOK = "/etc/oopsight/dump-hook"
ANALYSIS_SECONDS = 3600.0
MAX_DUMPS = 16
# The report that is written last marks a dump as done.
REPORTS = (("terminal", "report.txt"), ("json", "report.json"))


@dataclass(frozen=True)
class Collected:
    """A new dump and one line about it."""

    dump: str
    line: str


def program() -> str | None:
    """The path of ``oopsight`` itself; ``None`` beside the zipapp: nothing could analyse."""
    started = Path(sys.argv[0])
    if started.name == "oopsight" and started.is_absolute():
        return str(started.resolve())
    return shutil.which("oopsight", path="/usr/local/bin:/usr/bin:/bin") or shutil.which("oopsight")


def units(target: Target) -> dict[str, str]:
    """The systemd units by path; enabled by a drop-in, which undo can take back as a file.

    None where dumps do not stay in a folder of this host, or nothing could analyse them.
    """
    path = program()
    if path is None or target.kind is not Kind.PATH:
        return {}
    # In systemd's units a percent sign begins a specifier.
    folder = target.path.replace("%", "%%")
    return {
        "/etc/systemd/system/oopsight-dumps.service": (
            "[Unit]\nDescription=Analyse new kernel crash dumps\nAfter=local-fs.target\n"
            "# The capture environment boots from the same disk: leave the dump to it.\n"
            "ConditionPathExists=!/proc/vmcore\n\n"
            f"[Service]\nType=oneshot\nExecStart={path} kdump collect\nNice=10\n"
        ),
        "/etc/systemd/system/oopsight-dumps.path": (
            "[Unit]\nDescription=Wait for kernel crash dumps\n\n"
            f"[Path]\nPathChanged={folder}\nUnit=oopsight-dumps.service\n"
        ),
        "/etc/systemd/system/multi-user.target.d/oopsight.conf": (
            "[Unit]\nWants=oopsight-dumps.service oopsight-dumps.path\n"
        ),
    }


def new_dumps(host: Host) -> list[str]:
    """Return the dumps without report.json beside them, newest first; incomplete ones left out."""
    folder = host.distro.target(host.root).path or "/var/crash"
    found = [
        (host.root.modified(path) or 0.0, path)
        for pattern in ("dump.*", "vmcore", "vmcore.[0-9]*")
        for path in host.root.glob(f"{folder}/*/{pattern}")
    ]
    done = REPORTS[-1][1]
    return [
        path
        for _, path in sorted(found, reverse=True)
        if not host.root.exists(f"{_beside(path)}/{done}")
    ]


def collect(host: Host) -> list[Collected]:
    """Analyse every new dump, 16 at most at a time; the newest last, so that it is what is told."""
    return [_one(host, dump) for dump in reversed(new_dumps(host)[:MAX_DUMPS])]


def _one(host: Host, dump: str) -> Collected:
    line = f"kernel crash dump {dump}: not analysed"
    for form, name in REPORTS:
        argv = (program() or "oopsight", "analyze", "--format", form, dump)
        ran = host.probe.run(argv, timeout=ANALYSIS_SECONDS)
        if ran is None or ran.code:
            why = "it did not run" if ran is None else (ran.err.strip() or f"exit {ran.code}")
            line = f"kernel crash dump {dump}: not analysed, {last.clean(why)}"
            text = f"{line}\nrun: {' '.join(argv)}\n"
            host.root.write(f"{_beside(dump)}/report.txt", text.encode(), mode=0o600)
            break
        host.root.write(f"{_beside(dump)}/{name}", ran.out.encode(), mode=0o600)
        if form == "json":
            verdict = last.verdict_of(ran.out) or "see report.txt beside it"
            line = f"kernel crash dump {dump}: {verdict}"
    host.root.write(MOTD, (line + "\n").encode())
    if host.root.exists(HOOK):
        ran = host.probe.run((HOOK, dump, line), timeout=60)
        if ran is None or ran.code:
            line += f" ({HOOK} failed)"
    return Collected(dump, line)


def _beside(dump: str) -> str:
    return dump.rsplit("/", 1)[0]
