"""Make and keep symbol packs, with which dumps are read without debug packages.

A pack is made from a dump by itself on first use. 'make' does it beforehand, so that packs can be
copied to where the dumps are; 'list', 'show', 'check' and 'prune' look after the cache.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from oopsight.errors import OutputError, SymbolError, UsageError

if TYPE_CHECKING:
    from oopsight.symbols.cache import CachedPack

_MEGA = 1 << 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=text, description=text)

    make = add("make", "Make the packs of dumps' kernels and put them into the cache.")
    make.add_argument("vmcores", metavar="VMCORE", nargs="+", help="a kernel crash dump")
    make.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="put BUILDID.pack there instead"
    )
    add("list", "List the packs in the cache.")
    show = add("show", "Say what a pack holds.")
    show.add_argument("pack", metavar="PACK", help="a file, or a build ID in the cache")
    check = add("check", "Read packs through and compare their checksums; all by default.")
    check.add_argument("packs", metavar="PACK", nargs="*", help="a file, or a build ID")
    prune = add("prune", "Remove the packs that were used longest ago, and broken ones.")
    prune.add_argument(
        "--keep",
        metavar="MB",
        type=int,
        default=0,
        help="until the rest takes no more than this; 0, the default, removes all",
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _file(name: str) -> Path:
    from oopsight.symbols import cache

    path = Path(name)
    if path.exists() or "/" in name:
        return path
    return cache.path_of(name) or path


def _make(args: argparse.Namespace) -> int:
    from oopsight.session import own_pack
    from oopsight.symbols import cache

    for vmcore in args.vmcores:
        started = time.perf_counter()
        build_id, image = own_pack(vmcore)
        try:
            if args.output:
                args.output.mkdir(parents=True, exist_ok=True)
                path = args.output / f"{build_id}{cache.SUFFIX}"
                cache.write_whole(path, image)
            else:
                path = cache.store(build_id, image)
        except OSError as error:
            where = args.output or cache.directory()
            raise OutputError(f"{where}: {error.strerror or error}; nothing was written") from None
        seconds = time.perf_counter() - started
        _say(f"{path}: {len(image) / _MEGA:.1f} MB in {seconds:.1f} s")
    return 0


def _line(pack: CachedPack) -> str:
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(pack.used))
    return f"{pack.build_id}  {pack.size / _MEGA:6.1f} MB  {used}"


def _list() -> int:
    from oopsight.symbols import cache

    packs = cache.packs()
    for pack in reversed(packs):
        _say(_line(pack))
    total = sum(pack.size for pack in packs) / _MEGA
    _say(f"{len(packs)} in {cache.directory()}, {total:.1f} of {cache.MOST_BYTES / _MEGA:.0f} MB")
    return 0


def _show(args: argparse.Namespace) -> int:
    from oopsight.symbols.describe import describe

    for name, value in describe(_file(args.pack)):
        _say(f"{name + ':':<24} {value}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from oopsight.symbols import cache
    from oopsight.symbols.seal import BrokenPackError, check_seal

    paths = [_file(name) for name in args.packs] or [pack.path for pack in cache.packs()]
    broken = []
    for path in paths:
        try:
            check_seal(path)
        except BrokenPackError as error:
            broken.append(str(path))
            _say(f"{path}: {error}")
        except OSError as error:
            raise SymbolError(f"{path}: {error.strerror or error}") from None
        else:
            _say(f"{path}: whole")
    if broken:
        raise SymbolError(f"{len(broken)} of {len(paths)} cannot be used; remove or make them anew")
    return 0


def _prune(args: argparse.Namespace) -> int:
    from oopsight.symbols import cache

    if args.keep < 0:
        raise UsageError("--keep: no less than 0 MB")
    removed = cache.prune(args.keep * _MEGA)
    for pack in removed:
        _say(_line(pack))
    _say(f"{len(removed)} removed, {sum(pack.size for pack in removed) / _MEGA:.1f} MB")
    return 0


def run(args: argparse.Namespace) -> int:
    """Carry out the action."""
    if args.action == "make":
        return _make(args)
    if args.action == "list":
        return _list()
    if args.action == "show":
        return _show(args)
    return _check(args) if args.action == "check" else _prune(args)
