"""Scores ``oopsight.oops`` on a directory of labelled console logs.

The directory holds ``labels.jsonl`` and one ``ID.log`` per label; the fields are those of
``KINDS.md`` beside them. The logs fall into five folds by a hash of their id: mechanisms are
developed by looking at four (``--develop``), and the fifth (``--unseen``) tells whether they
generalise.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import re
from pathlib import Path

from oopsight.oops import parse

CLONE = re.compile(r"(\+0x.*|\.(isra|constprop|part|cold|llvm)(\.\w+)*)")
FOLDS = 5
WRAPPER = re.compile(r"^(__(x64|ia32|arm64|se|do)_)?(compat_)?(sys_|SyS_|SYSC_)")


def unseen(name: str) -> bool:
    """Whether a log is in the fold that nobody looks at."""
    return hashlib.sha256(f"fold {name}".encode()).digest()[0] % FOLDS == 0


def plain(function: str) -> str:
    """A function without compiler suffixes and system call wrappers, as KINDS.md compares."""
    return WRAPPER.sub("", CLONE.sub("", function))


def main() -> None:
    """Parse, compare, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--develop", action="store_true", help="the four folds that are looked at")
    part.add_argument("--unseen", action="store_true", help="the fifth fold")
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--by-kind", action="store_true", help="functions and titles by kind")
    args = parser.parse_args()
    right: collections.Counter[str] = collections.Counter()
    of: collections.Counter[str] = collections.Counter()
    kinds: dict[str, list[bool]] = collections.defaultdict(list)
    by_kind: dict[tuple[str, str], list[bool]] = collections.defaultdict(list)

    def count(name: str, hit: bool, label: str, detail: object) -> None:
        of[name] += 1
        right[name] += hit
        if not hit and args.misses:
            print(f"{name:12} {label}  {detail}")

    for raw in (args.directory / "labels.jsonl").read_text().splitlines():
        label = json.loads(raw)
        name = label["id"]
        if (args.develop and unseen(name)) or (args.unseen and not unseen(name)):
            continue
        if label.get("scored") is False:
            continue
        text = (args.directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        reports = parse(text)
        first = reports[0] if reports else None
        if label["kind"] == "not-a-crash":
            count("silent", not reports, name, first and first.headline)
            continue
        count("detected", first is not None, name, label["title"])
        got = first.kind.value if first else "not-a-crash"
        if label["kind"]:
            count(
                "kind", got == label["kind"], name, (got, label["kind"], first and first.headline)
            )
            kinds[label["kind"]].append(got == label["kind"])
        if label.get("function") and not label.get("function_unknowable"):
            wanted = [label["function"], *label.get("functions_any", [])]
            mine = first.function if first else None
            hit = mine is not None and plain(mine) in {plain(one) for one in wanted}
            count("function", hit, name, (mine, label["function"]))
            by_kind[label["kind"], "function"].append(hit)
        if label["title"] and label["kind"]:
            titles = [label["title"], *label.get("alt_titles", [])]
            by_kind[label["kind"], "title"].append(bool(first and first.title in titles))
            count(
                "title",
                bool(first and first.title in titles),
                name,
                (first and first.title, titles[0]),
            )
        if "guilty_file" in label:
            mine = (first.guilty_file if first else None) or ""
            count("guilty_file", mine == label["guilty_file"], name, (mine, label["guilty_file"]))
    for name in of:
        print(f"{name:12} {right[name]:4}/{of[name]:4} {100 * right[name] / of[name]:6.1f} %")
    for (kind, field), hits in sorted(by_kind.items()) if args.by_kind else ():
        print(f"{kind:20} {field:10} {sum(hits):3}/{len(hits):3}")
    if kinds:
        mean = sum(sum(hits) / len(hits) for hits in kinds.values()) / len(kinds)
        print(f"{'mean kind':12} {'':9} {100 * mean:6.1f} %")


if __name__ == "__main__":
    main()
