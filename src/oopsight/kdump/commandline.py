"""The command line of kdump, for ``oopsight kdump`` and for the zipapp alike."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from oopsight.kdump import apply, checks, collect, last, plan, status, target
from oopsight.kdump.checks import Host
from oopsight.kdump.cmdline import size
from oopsight.kdump.errors import KdumpError
from oopsight.kdump.host import Root

if TYPE_CHECKING:
    # There is no public name for it.
    Actions = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - see above

FORMATS = {
    "text": status.to_text,
    "line": status.to_line,
    "json": status.to_json,
    "prometheus": status.to_prometheus,
}


def configure(parser: argparse.ArgumentParser) -> Actions:
    """Add the sub-commands.

    :return: what more of them can be added to
    """
    sub = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = sub.add_parser("status", help="check every link of the chain to a dump")
    show.add_argument("--format", choices=sorted(FORMATS), default="text")
    show.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="instead of stdout; replaced as a whole, as node_exporter wants it",
    )
    show.add_argument(
        "--json", dest="format", action="store_const", const="json", help="short for --format json"
    )
    setup = sub.add_parser("setup", help="put the chain right; shows the changes first")
    setup.add_argument(
        "--target",
        help="/FOLDER, device:FSTYPE:DEVICE, nfs:HOST:/EXPORT or ssh:USER@HOST",
    )
    setup.add_argument("--memory", default="auto", metavar="auto|SIZE")
    setup.add_argument("--dry-run", action="store_true", help="show the changes, make none")
    setup.add_argument("--yes", action="store_true", help="ask nothing")
    back = sub.add_parser("undo", help="bring back every file that setup changed")
    back.add_argument("--force", action="store_true", help="also files changed since by others")
    trial = sub.add_parser("rehearse", help="crash a virtual machine with this capture kernel")
    trial.add_argument("--memory", metavar="SIZE", help="instead of what the host has reserved")
    trial.add_argument(
        "--disk",
        metavar="IMAGE",
        type=Path,
        action="append",
        default=[],
        help="a raw image instead of the host's own disks; may be given more than once",
    )
    trial.add_argument("--accel", choices=("kvm", "tcg"), help="by itself what works")
    trial.add_argument("--timeout", type=float, metavar="SECONDS")
    trial.add_argument("--console", metavar="FILE", help="keep what the virtual machine said")
    trial.add_argument("--json", action="store_true", help="the result as JSON")
    sub.add_parser("collect", help="analyse new dumps; systemd runs this after a crash")
    crash = sub.add_parser("test", help="crash this machine, to see whether there is a dump")
    crash.add_argument("--yes-crash-this-machine", action="store_true", dest="sure")
    for each in (show, setup, back, trial):
        each.add_argument("--root", default="/", metavar="DIR", help="another host's file tree")
    return sub


def run(args: argparse.Namespace, out: TextIO) -> int:
    """Carry out one command line.

    :return: the exit code; of ``status`` as monitoring plugins have it, 0 to 3
    :raises KdumpError: what the user can do something about
    """
    if args.action == "test":
        return _test(args, out)
    if args.action == "collect":
        # systemd's journal takes the number for the line's priority: critical.
        mark = "<2>" if "JOURNAL_STREAM" in os.environ else ""
        out.writelines(f"{mark}{each.line}\n" for each in collect.collect(Host(Root("/"))))
        return 0
    host = Host(Root(args.root))
    if args.action == "status":
        results = checks.run(host)
        text = FORMATS[args.format](results)
        if args.output:
            Root("/").write(os.path.abspath(args.output), text.encode())  # noqa: PTH100 - links stay
        else:
            out.write(text)
        return status.EXIT[status.worst(results)]
    if args.action == "undo":
        restored, kept = apply.undo(host.root, force=args.force)
        out.writelines(f"restored {path}\n" for path in restored)
        out.writelines(f"left alone, changed since: {path} (--force)\n" for path in kept)
        if restored:
            _tell(out, "run the boot loader's generator if there is one, then reboot")
        return 1 if kept else 0
    if args.action == "rehearse":
        return _rehearse(args, host, out)
    return _setup(args, host, out)


def _rehearse(args: argparse.Namespace, host: Host, out: TextIO) -> int:
    from oopsight.kdump import rehearse
    from oopsight.kdump.rehearse import output

    reserved = size(args.memory) if args.memory else None
    if args.memory and not reserved:
        raise KdumpError(f"{args.memory!r} is no size; give 192M or the like", 2)
    result = rehearse.rehearse(
        host,
        reserved=reserved,
        disks=tuple(args.disk),
        accelerator=args.accel,
        timeout=args.timeout,
        tell=lambda line: _tell(sys.stderr, line),
    )
    if args.console:
        path = os.path.abspath(args.console)  # noqa: PTH100 - links stay
        Root("/").write(path, result.console.encode(), mode=0o600)
    out.write(output.to_json(result) if args.json else output.to_text(result))
    return output.exit_code(result)


def _setup(args: argparse.Namespace, host: Host, out: TextIO) -> int:
    wanted = target.parse(args.target) if args.target else None
    made = plan.make(host, wanted, args.memory)
    if made.is_empty:
        _tell(out, "nothing to do: kdump is set up")
        return 0
    if made.packages:
        _tell(out, f"to be installed: {' '.join(made.packages)}")
        if not args.dry_run:
            _ask(args, "Install them?")
            apply.install(host, made.packages)
            made = plan.make(host, wanted, args.memory)
    out.writelines(change.diff() for change in made.changes)
    for command in made.commands:
        _tell(out, f"to be run: {' '.join(command.argv)}")
    if args.dry_run:
        return 0
    _ask(args, "Make these changes?")
    done = apply.carry_out(host, made)
    for command in done.left:
        _tell(out, f"run on the host: {' '.join(command.argv)}")
    if host.machine.cmdline and f"crashkernel={made.crashkernel}" not in host.machine.cmdline:
        _tell(out, "reboot, so that the memory is reserved; then: oopsight kdump status")
    return 0


def run_last(root: str, out: TextIO) -> int:
    """Print how the machine went down last: 0 if it was orderly, 1 if not, 3 if unknown."""
    ending = last.find(Host(Root(root)))
    _tell(out, ending.verdict)
    out.writelines(f"  shown by {record}\n" for record in ending.because)
    if ending.next_step:
        _tell(out, f"  next: {ending.next_step}")
    return {last.Cause.ORDERLY: 0, last.Cause.UNKNOWN: 3}.get(ending.cause, 1)


def _test(args: argparse.Namespace, out: TextIO) -> int:
    if not args.sure:
        raise KdumpError("this crashes the machine at once: give --yes-crash-this-machine", 2)
    host = Host(Root("/"))
    if not host.machine.loaded:
        raise KdumpError("no capture kernel is loaded, so there would be no dump; see status", 1)
    _tell(out, "crashing now")
    out.flush()
    host.probe.run(("sync",), timeout=60)
    try:
        # Writing to the trigger is allowed to root whatever kernel.sysrq says.
        host.root.locate("/proc/sysrq-trigger").write_text("c")
    except OSError as error:
        raise KdumpError(f"/proc/sysrq-trigger: {error.strerror}; this needs root") from error
    raise KdumpError("the kernel did not crash: it is built without SysRq, or locked down")


def _tell(out: TextIO, line: str) -> None:
    out.write(line + "\n")


def _ask(args: argparse.Namespace, question: str) -> None:
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise KdumpError("there is nobody to ask here: give --yes or --dry-run", 2)
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise KdumpError("nothing was changed, as you wish")
