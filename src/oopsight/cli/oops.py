"""Read console text (dmesg, serial log, pstore) where there is no dump.

Finds every crash report in each log and says what it is, whom it blames and what it shows; the
rules that judge a dump judge the text too, as far as it carries. A directory stands for the files
in it. Without --json there is a block of lines for each log.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oopsight.errors import UsageError

if TYPE_CHECKING:
    from oopsight.oops import CrashReport
    from oopsight.oops.source import SourceLines

_BLOCK = 1 << 18
_GZIP = b"\x1f\x8b"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("log", nargs="+", help="file, directory of files, or - for standard input")
    parser.add_argument(
        "--vmlinux", metavar="FILE", type=Path, help="with debug information: adds files and lines"
    )
    parser.add_argument(
        "--debug-dir",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="debug information of the kernel and its modules; may be given more than once",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="one JSON document")
    output.add_argument("--json-lines", action="store_true", help="one JSON object a line and log")


def _logs(names: list[str]) -> Iterator[tuple[str, list[Path]]]:
    """Name and files of each log: pstore's parts in one directory are one log."""
    from oopsight.oops.pstore import is_part

    for name in names:
        path = Path(name)
        if name == "-" or not path.is_dir():
            yield name, [path]
            continue
        parts: dict[Path, list[Path]] = {}
        for one in sorted(path.rglob("*")):
            if not one.is_file():
                continue
            with _open(one) as file:
                start = file.read(64)
            if is_part(start):
                parts.setdefault(one.parent, []).append(one)
            else:
                yield str(one), [one]
        for directory, files in parts.items():
            yield str(directory), files


def _open(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; give a readable log") from error


def _blocks(name: str, files: list[Path]) -> Iterator[bytes]:
    import contextlib

    for path in files:
        with contextlib.ExitStack() as closing:
            try:
                stream: Any = sys.stdin.buffer
                if name != "-":
                    stream = closing.enter_context(_open(path))
                    if stream.peek(2)[:2] == _GZIP:
                        import gzip

                        stream = closing.enter_context(gzip.GzipFile(fileobj=stream))
                while piece := stream.read(_BLOCK):
                    yield piece
            except (OSError, EOFError) as error:
                reason = getattr(error, "strerror", None) or error
                raise UsageError(f"{path}: {reason}; give a readable log") from error


def _reports(name: str, files: list[Path], source: SourceLines | None) -> list[CrashReport]:
    from oopsight.oops import decoded, parse_blocks
    from oopsight.oops.pstore import ordered

    found = [decoded(one) for one in parse_blocks(ordered(_blocks(name, files)))]
    return [source.located(one) for one in found] if source else found


def _verdict(report: CrashReport) -> dict[str, Any] | None:
    """What the rules say of the text's facts; ``None`` where none of them explains the crash."""
    from oopsight.evidence.console import evidence_of
    from oopsight.report import build

    judged = build(evidence_of(report))
    if judged["verdict"]["cause"] is None:
        return None
    steps = [step["claim"] for step in judged["chain"]]
    verdict: dict[str, Any] = judged["verdict"]
    keys = ("title", "cause", "summary", "certainty", "culprits", "innocent", "advice")
    return {**{key: verdict[key] for key in keys}, "proof": steps}


def run(args: argparse.Namespace) -> int:
    """Read the logs and print what they hold."""
    from oopsight.oops.document import document

    source = None
    if args.vmlinux or args.debug_dir:
        from oopsight.oops.source import SourceLines

        if args.vmlinux and not args.vmlinux.is_file():
            raise UsageError(f"{args.vmlinux}: no such file; give the vmlinux of the log's kernel")
        source = SourceLines(args.vmlinux, tuple(args.debug_dir))
    documents = []
    for name, files in _logs(args.log):
        reports = _reports(name, files, source)
        made = document(name, reports)
        made["verdict"] = _verdict(reports[0]) if reports else None
        if args.json:
            documents.append(made)
        elif args.json_lines:
            print(json.dumps(made))  # noqa: T201 - the command's output
        else:
            from oopsight.oops.to_terminal import to_terminal

            to_terminal(made, sys.stdout)
    if args.json:
        print(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))  # noqa: T201 - the command's output
    for problem in source.problems if source else ():
        print(f"oopsight: {problem}", file=sys.stderr)  # noqa: T201 - trouble that cost lines only
    return 0
