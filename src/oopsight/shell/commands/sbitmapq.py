"""Display the contents of a sbitmap_queue: depth, what is busy, the waiters.

Examples
    crash> sbitmapq ffff8e99d0dc8010
    crash> sbitmapq -p ffff8e99d0dc8400 -s request.tag ffff8e99d0dc8010
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.shell.code import one_address
from oopsight.shell.output import Gap

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "sbitmapq [-s struct[.member[,member]] -p addr [-v]] [-x|-d] addr"
OPTIONS = {
    "-s STRUCT": "show the objects that busy bits stand for, as this type",
    "-p ADDR": "where the array of these objects, or of pointers to them, lies",
    "-v": "the array is of pointers",
    "-x": "numbers in hexadecimal",
    "-d": "numbers in decimal",
}
MOST_BITS = 1 << 20


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show the queue."""
    from drgn import Object

    from oopsight.shell import CommandError

    if len(args.rest) != 1:
        raise CommandError(f"the address of a struct sbitmap_queue is needed; usage: {SYNOPSIS}")
    queue = Object(shell.prog, "struct sbitmap_queue *", shell.address(args.rest[0]))
    depth = int(queue.sb.depth.value_())
    maps = int(queue.sb.map_nr.value_())
    if not 0 < depth <= MOST_BITS or not 0 < maps <= depth or not queue.sb.map:
        raise CommandError(f"{args.rest[0]}: no sbitmap_queue (depth {depth}, {maps} maps)")
    bits = list(_busy(queue, depth, out))
    if args.has("-s"):
        _objects(shell, args, bits, out)
        return
    out.line(f"depth = {depth}")
    out.line(f"busy = {len(bits)}")
    out.line(f"cleared = {_cleared(queue, maps, out)}")
    out.line(f"bits_per_word = {1 << int(queue.sb.shift.value_())}")
    out.line(f"map_nr = {maps}")
    for name in ("wake_batch", "wake_index", "ws_active", "min_shallow_depth"):
        value = out.got(lambda name=name: _plain(queue.member_(name)), name)  # type: ignore[misc]
        if not isinstance(value, Gap):
            out.line(f"{name} = {value}")
    out.row(None, depth=depth, busy=bits, map_nr=maps)


def _plain(value: Any) -> int:
    try:
        return int(value.value_())
    except TypeError:
        return int(value.counter.value_())


def _busy(queue: Any, depth: int, out: Out) -> Any:
    from drgn.helpers.linux.sbitmap import sbitmap_for_each_set

    yield from out.walk(sbitmap_for_each_set(queue.sb.address_of_()), "bits", depth + 1)


def _cleared(queue: Any, maps: int, out: Out) -> int:
    total = 0
    for index in range(maps):
        word = out.got(lambda index=index: int(queue.sb.map[index].cleared.value_()), "cleared")  # type: ignore[misc]
        total += 0 if isinstance(word, Gap) else word.bit_count()
    return total


def _objects(shell: Shell, args: Args, bits: list[int], out: Out) -> None:
    from drgn import Object, sizeof

    from oopsight.shell import CommandError, structs
    from oopsight.shell.types import find_struct

    name, _, members = (args.value("-s") or "").partition(".")
    type_ = find_struct(shell.prog, name)
    place = args.value("-p")
    if place is None:
        raise CommandError("-s needs -p, the address of the objects")
    base = shell.address(place)
    for bit in bits:
        with out.item(f"object of bit {bit}"):
            address = base + bit * (8 if args.has("-v") else sizeof(type_))
            if args.has("-v"):
                address = shell.prog.read_u64(address)
            out.line(f"{bit}: {address:x}")
            paths = [part for part in members.split(",") if part]
            structs.one(shell, Object(shell.prog, type_, address=address), paths, args, out)


def drgn_code(shell: Shell, args: Args) -> str:
    """The bits that are set."""
    where = one_address(shell, args)
    return f"""
queue = Object(prog, "struct sbitmap_queue *", {where})
print(queue.sb.depth.value_())
print(list(sbitmap_for_each_set(queue.sb.address_of_())))"""
