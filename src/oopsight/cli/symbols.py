"""Make and keep symbol packs, with which dumps are read without debug packages.

A pack is made from a dump by itself on first use. 'make' does it beforehand, or makes one of a
vmlinux with debug information, which tells source lines and inlined calls too; so that packs can be
copied to where the dumps are. 'list', 'show', 'check' and 'prune' look after the cache.
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

    make = add(
        "make",
        "Make packs and put them into the cache: of dumps' kernels from what the dumps themselves "
        "hold, or of a vmlinux with debug information, with source lines and inlined calls.",
    )
    make.add_argument(
        "files",
        metavar="FILE",
        nargs="+",
        help="a kernel crash dump, a vmlinux, or a module's file with debug information (.ko, "
        ".ko.debug), which goes into the pack of the vmlinux",
    )
    make.add_argument(
        "--debug-dir",
        metavar="DIR",
        type=Path,
        help="put all modules with debug information under DIR into the pack of the vmlinux",
    )
    make.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        type=Path,
        help="write there instead: a file if it ends in .pack or, compressed, in .pack.zst; else "
        "BUILDID.pack in this directory",
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
    with_lines = cache.path_of(name, lines=True)
    if with_lines is not None and with_lines.exists():
        return with_lines
    return cache.path_of(name) or path


def _make(args: argparse.Namespace) -> int:
    from oopsight.session import own_pack
    from oopsight.symbols.pack.debuginfo.sections import is_object_file

    objects = [Path(name) for name in args.files if is_object_file(Path(name))]
    dumps = [name for name in args.files if Path(name) not in objects]
    if args.output and _is_file_name(args.output) and len(dumps) + bool(objects) > 1:
        raise UsageError(f"-o {args.output}: one file for several packs; give a directory")
    for vmcore in dumps:
        started = time.perf_counter()
        build_id, image = own_pack(vmcore)
        _keep(args.output, build_id, image, started, lines=False)
    if objects:
        from oopsight.symbols.pack.vmlinux import pack_of_vmlinux

        started = time.perf_counter()
        build_id, image = pack_of_vmlinux(objects, args.debug_dir)
        _keep(args.output, build_id, image, started, lines=True)
    elif args.debug_dir:
        raise UsageError("--debug-dir: modules go into the pack of a vmlinux, and none was given")
    return 0


def _is_file_name(path: Path) -> bool:
    from oopsight.symbols import cache, compressed

    return path.name.endswith((cache.SUFFIX, cache.SUFFIX + compressed.SUFFIX))


def _keep(output: Path | None, build_id: str, image: bytes, started: float, *, lines: bool) -> None:
    """Write a pack where it was asked for, and say so."""
    from oopsight.symbols import cache, compressed

    try:
        if output is None:
            path = cache.store(build_id, image, lines=lines)
        else:
            path = output
            if not _is_file_name(output):
                output.mkdir(parents=True, exist_ok=True)
                path = output / cache.name_of(build_id, lines=lines)
            if path.name.endswith(compressed.SUFFIX):
                image = compressed.compressed(image)
            cache.write_whole(path, image)
    except OSError as error:
        where = output or cache.directory()
        raise OutputError(f"{where}: {error.strerror or error}; nothing was written") from None
    seconds = time.perf_counter() - started
    _say(f"{path}: {len(image) / _MEGA:.1f} MB in {seconds:.1f} s")


def _line(pack: CachedPack) -> str:
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(pack.used))
    lines = "  with source lines" if pack.lines else ""
    return f"{pack.build_id}  {pack.size / _MEGA:6.1f} MB  {used}{lines}"


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
    from oopsight.symbols.compressed import readable
    from oopsight.symbols.seal import BrokenPackError, check_seal

    paths = [_file(name) for name in args.packs] or [pack.path for pack in cache.packs()]
    broken = []
    for path in paths:
        try:
            check_seal(readable(path))
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
