"""Scores ``oopsight.oops`` on a directory of labelled console logs.

The directory holds ``labels.jsonl`` and one ``ID.log`` per label; the fields are those of
``KINDS.md`` beside them. The logs fall into five folds by a hash of their id: mechanisms are
developed by looking at four (``--develop``), and the fifth (``--unseen``) tells whether they
generalise. ``--rename`` gives every function in the logs and labels another name, except those that
serve any caller: whoever learnt names by heart scores worse then.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oopsight.kinds import Kind
from oopsight.oops import CrashReport, parse
from oopsight.oops.blame import by_its_name, is_entry
from oopsight.plumbing import base_name, why_plumbing

FOLDS = 5
CLONE = re.compile(r"(\+0x.*|\.(isra|constprop|part|cold|llvm)(\.\w+)*)")
WRAPPER = re.compile(r"^(__(x64|ia32|arm64|se|do)_)?(compat_)?(sys_|SyS_|SYSC_)")
TRACED = re.compile(r"(?<![\w.])([A-Za-z_]\w{0,127})(?:\.\w{1,40}){0,6}\+0x[0-9a-f]")
WORD = re.compile(r"[A-Za-z_]\w*")
FIELDS = ("detected", "kind", "mean kind", "function", "title", "guilty_file", "silent")


def unseen(name: str) -> bool:
    """Whether a log is in the fold that nobody looks at."""
    return hashlib.sha256(f"fold {name}".encode()).digest()[0] % FOLDS == 0


def plain(function: str) -> str:
    """A function without compiler suffixes and system call wrappers, as KINDS.md compares."""
    return WRAPPER.sub("", CLONE.sub("", function))


def renamed(text: str, label: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Log and label with every function named anew that is not plumbing, nor an entry to it."""
    kinds = {kind.value: kind for kind in Kind}
    told = by_its_name(kinds.get(label["kind"], Kind.OTHER)) or (lambda _: None)
    mapping = {
        name: "fn" + hashlib.sha256(name.encode()).hexdigest()[:10]
        for name in set(TRACED.findall(text))
        if not why_plumbing(name) and not is_entry(base_name(name)) and not told(name)
    }

    def sub(value: Any) -> Any:
        if isinstance(value, str):
            return WORD.sub(lambda match: mapping.get(match[0], match[0]), value)
        return [sub(one) for one in value] if isinstance(value, list) else value

    fields = ("title", "function", "alt_titles", "functions_any", "functions_ok")
    return sub(text), {**label, **{name: sub(label[name]) for name in fields if name in label}}


def compare(
    label: dict[str, Any], reports: tuple[CrashReport, ...]
) -> Iterator[tuple[str, bool, object]]:
    """What of a label the reports meet: field, hit, and what was got and wanted."""
    first = reports[0] if reports else None
    if label["kind"] == "not-a-crash":
        yield "silent", not reports, first and first.headline
        return
    yield "detected", first is not None, label["title"]
    if label["kind"]:
        got = first.kind.value if first else "not-a-crash"
        yield "kind", got == label["kind"], (got, label["kind"], first and first.headline)
    if label.get("function") and not label.get("function_unknowable"):
        wanted = {plain(one) for one in (label["function"], *label.get("functions_any", []))}
        mine = first.function if first else None
        yield "function", mine is not None and plain(mine) in wanted, (mine, label["function"])
    if label["title"] and label["kind"]:
        titles = [label["title"], *label.get("alt_titles", [])]
        hit = first is not None and first.title in titles
        yield "title", hit, (first and first.title, titles[0])
    if "guilty_file" in label:
        mine = (first.guilty_file if first else None) or ""
        yield "guilty_file", mine == label["guilty_file"], (mine, label["guilty_file"])


def labels(directory: Path, *, develop: bool, fifth: bool) -> Iterator[dict[str, Any]]:
    """The labels that count, of the folds asked for."""
    for raw in (directory / "labels.jsonl").read_text().splitlines():
        label = json.loads(raw)
        out = (develop and unseen(label["id"])) or (fifth and not unseen(label["id"]))
        if not out and label.get("scored") is not False:
            yield label


def score(
    directory: Path,
    *,
    develop: bool = False,
    fifth: bool = False,
    rename: bool = False,
    misses: bool = False,
) -> dict[str, tuple[int, int, float]]:
    """Right, of how many, and per cent, by field."""
    right: collections.Counter[str] = collections.Counter()
    of: collections.Counter[str] = collections.Counter()
    kinds: dict[str, list[bool]] = collections.defaultdict(list)
    for label in labels(directory, develop=develop, fifth=fifth):
        path = directory / f"{label['id']}.log"
        text = path.read_text(encoding="utf-8", errors="replace")
        if rename:
            text, label = renamed(text, label)  # noqa: PLW2901 - the same case under other names
        for field, hit, detail in compare(label, parse(text)):
            of[field] += 1
            right[field] += hit
            if field == "kind":
                kinds[label["kind"]].append(hit)
            if misses and not hit:
                print(f"{field:12} {label['id']}  {detail}")
    result = {f: (right[f], of[f], 100 * right[f] / of[f]) for f in FIELDS if of[f]}
    if kinds:
        mean = sum(sum(hits) / len(hits) for hits in kinds.values()) / len(kinds)
        result["mean kind"] = (len(kinds), len(kinds), 100 * mean)
    return result


def main() -> None:
    """Parse, compare, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--develop", action="store_true", help="the four folds that are looked at")
    part.add_argument("--unseen", action="store_true", help="the fifth fold")
    parser.add_argument("--rename", action="store_true", help="with other names for functions")
    parser.add_argument("--misses", action="store_true")
    args = parser.parse_args()
    figures = score(
        args.directory,
        develop=args.develop,
        fifth=args.unseen,
        rename=args.rename,
        misses=args.misses,
    )
    for field in FIELDS:
        if field in figures:
            hit, count, share = figures[field]
            shown = f"{hit:4}/{count:4}" if field != "mean kind" else f"{count:4} kinds"
            print(f"{field:12} {shown:10} {share:6.1f} %")


if __name__ == "__main__":
    main()
