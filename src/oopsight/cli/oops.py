"""Read console text (dmesg, serial log, pstore) where there is no dump.

Finds every crash report in each log and says what it is, whom it blames and what it shows. Without
--json there is one block of lines for each report.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oopsight.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("log", nargs="+", help="file, directory of files, or - for standard input")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="one JSON document")
    output.add_argument("--json-lines", action="store_true", help="one JSON object a line and log")


def _files(names: list[str]) -> Iterator[str]:
    for name in names:
        path = Path(name)
        if name != "-" and path.is_dir():
            yield from (str(one) for one in sorted(path.iterdir()) if one.is_file())
        else:
            yield name


def _lines(name: str) -> Iterator[str]:
    # Read in bounded pieces: a file without a newline must not be held whole.
    try:
        stream = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}; give a readable log") from error
    try:
        while piece := stream.readline(1 << 16):
            yield piece.decode("utf-8", "replace").rstrip("\n")
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}; give a readable log") from error
    finally:
        if name != "-":
            stream.close()


def _document(name: str) -> dict[str, Any]:
    import dataclasses

    from oopsight.kinds import Kind
    from oopsight.oops import parse_stream

    reports = [dataclasses.asdict(report) for report in parse_stream(_lines(name))]
    first = reports[0] if reports else {"kind": Kind.NOT_A_CRASH}
    return {"file": name, **first, "more": reports[1:]}


def _escaped(text: object) -> str:
    # The log is hostile: nothing in it may steer the terminal.
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(text))


def _block(document: dict[str, Any]) -> Iterator[str]:
    for report in [document, *document["more"]]:
        title = _escaped(report.get("title", "no crash found"))
        yield f"{_escaped(document['file'])}: {report['kind']}: {title}"
        for name in ("function", "guilty_file", "headline", "release", "hardware"):
            if report.get(name):
                yield f"  {name.replace('_', ' ')}: {_escaped(report[name])}"


def run(args: argparse.Namespace) -> int:
    """Read the logs and print what they hold."""
    documents = (_document(name) for name in _files(args.log))
    if args.json_lines:
        for document in documents:
            print(json.dumps(document))  # noqa: T201 - the command's output
    elif args.json:
        whole = list(documents)
        print(json.dumps(whole[0] if len(whole) == 1 else whole, indent=2))  # noqa: T201 - the command's output
    else:
        for document in documents:
            print("\n".join(_block(document)))  # noqa: T201 - the command's output
    return 0
