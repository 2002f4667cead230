"""Dump a red-black tree, radix tree, XArray or maple tree.

Examples
Regions of vmalloc, each as its type:

    crash> tree -t rbtree -o vmap_area.rb_node -s vmap_area.va_start,va_end vmap_area_root

Pages of a file; regions of a task's memory, with their ranges:

    crash> tree -t xarray ffff8ebac1aaf310
    crash> tree -t maple ffff8ebac2274d80
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.errors import UsageError
from oopsight.evidence import Address
from oopsight.shell.output import Gap, gap_from, readable_errors
from oopsight.shell.types import find_struct, offset_of

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = (
    "tree [-t [radix|xarray|rbtree|maple]] [-r offset] [-[s|S] struct[.member[,member]]]\n"
    "     -[x|d] [-o offset] [-l] [-p] [-v] [-N] start"
)
OPTIONS = {
    "-t TYPE": "rbtree (if not said), radix, xarray or maple; the first letters are enough",
    "-r OFFSET": "the root lies at this offset in the start",
    "-o OFFSET": "the rb_node lies at this offset in each object",
    "-s STRUCT": "show each entry as this type, or members of it",
    "-S STRUCT": "as -s",
    "-l": "a red-black tree in order, from the leftmost",
    "-p": "each entry's place in the tree",
    "-v": "each node of a maple tree",
    "-N": "the start is a node, not a root",
    "-x": "numbers in hexadecimal",
    "-d": "numbers in decimal",
}
DRGN = ("-t", "-r", "-l")
MOST = 10_000_000
_KINDS = ("rbtree", "radix", "xarray", "maple")


def run(shell: Shell, args: Args, out: Out) -> None:
    """Walk the tree."""
    from oopsight.shell import CommandError

    if len(args.rest) != 1:
        raise CommandError(f"one start is needed; usage: {SYNOPSIS}")
    wanted = args.value("-t") or "rbtree"
    kind = next((k for k in _KINDS if k.startswith(wanted)), None)
    if kind is None:
        raise CommandError(f"{wanted}: no type of tree; they are {', '.join(_KINDS)}")
    start = shell.address(args.rest[0])
    if args.has("-r"):
        start += offset_of(shell.prog, args.value("-r") or "0")
    if args.has("-v") and kind == "maple":
        _maple_nodes(shell, start, args, out)
    shown = _Shown(shell, args, out)
    walk = {"rbtree": _rbtree, "radix": _radix, "xarray": _xarray, "maple": _maple}[kind]
    for number, item in enumerate(walk(shell, start, args)):
        if isinstance(item, Gap):
            out.count(item)
            out.line(f"{item}: a part of the tree cannot be read: {item.why}")
            continue
        if number >= MOST:
            out.line(f"not followed beyond {MOST} entries")
            return
        shown.show(*item)


Item = tuple[int, str]


def _rbtree(shell: Shell, start: int, args: Args) -> Iterator[Item | Gap]:
    """Objects of a red-black tree: each node before its children, or in order with -l."""
    from drgn import offsetof

    prog = shell.prog
    node_type = prog.type("struct rb_node")
    left, right = offsetof(node_type, "rb_left"), offsetof(node_type, "rb_right")
    offset = offset_of(prog, args.value("-o") or "0") if args.has("-o") else 0
    try:
        root = start if args.has("-N") else prog.read_u64(start)
    except readable_errors() as error:
        yield gap_from(error, "root")
        return
    in_order = args.has("-l")
    seen: set[int] = set()
    # (node, place, whether its left part is done)
    stack: list[tuple[int, str, bool]] = [(root, "root", False)] if root else []
    while stack:
        node, place, done = stack.pop()
        if done:
            yield node - offset, place
            continue
        if node in seen:
            yield Gap("node", Address(node), "met twice: the tree has a circle")
            continue
        seen.add(node)
        if not in_order:
            yield node - offset, place
        try:
            children = prog.read_u64(node + left), prog.read_u64(node + right)
        except readable_errors() as error:
            yield gap_from(error, "node")
            continue
        if children[1]:
            stack.append((children[1], f"{place}/r", False))
        if in_order:
            stack.append((node, place, True))
        if children[0]:
            stack.append((children[0], f"{place}/l", False))


def _entries(walk: Any) -> Iterator[Item | Gap]:
    iterator = iter(walk)
    while True:
        try:
            index, entry = next(iterator)
        except StopIteration:
            return
        except readable_errors() as error:
            yield gap_from(error, "node")
            return
        yield int(entry.value_()), f"index: {index}"


def _radix(shell: Shell, start: int, args: Args) -> Iterator[Item | Gap]:
    from drgn import Object
    from drgn.helpers.linux.radixtree import radix_tree_for_each

    kind = "struct radix_tree_root *"
    try:
        shell.prog.type(kind)
        root = Object(shell.prog, kind, start)
        root.type_.type.is_complete()
    except LookupError:
        root = Object(shell.prog, "struct xarray *", start)
    if not root.type_.type.is_complete():
        root = Object(shell.prog, "struct xarray *", start)
    yield from _entries(radix_tree_for_each(root))


def _xarray(shell: Shell, start: int, args: Args) -> Iterator[Item | Gap]:
    from drgn import Object
    from drgn.helpers.linux.xarray import xa_for_each

    prog = shell.prog
    root = Object(prog, "struct xarray *", start)
    if args.has("-N"):
        yield from _node(prog, start, 0, 0)
        return
    yield from _entries(xa_for_each(root))


def _node(prog: Any, address: int, base: int, depth: int) -> Iterator[Item | Gap]:
    """Entries below a ``struct xa_node``."""
    from drgn import Object

    try:
        node = Object(prog, "struct xa_node *", address)
        shift = int(node.shift.value_())
        slots = [int(slot.value_()) for slot in node.slots]
    except readable_errors() as error:
        yield gap_from(error, "node")
        return
    for index, entry in enumerate(slots):
        if entry & 3 == 2 and entry > 4096 and depth < 12:
            yield from _node(prog, entry & ~3, base + (index << shift), depth + 1)
        elif entry and entry & 3 != 2:
            yield entry, f"index: {base + (index << shift)}"


def _maple(shell: Shell, start: int, args: Args) -> Iterator[Item | Gap]:
    from drgn import Object
    from drgn.helpers.linux.mapletree import mt_for_each

    tree = Object(shell.prog, "struct maple_tree *", start)
    iterator = iter(mt_for_each(tree))
    while True:
        try:
            low, high, entry = next(iterator)
        except StopIteration:
            return
        except readable_errors() as error:
            yield gap_from(error, "node")
            return
        yield int(entry.value_()), f"range: {low:x}-{high:x}"


def _maple_nodes(shell: Shell, start: int, args: Args, out: Out) -> None:
    from drgn import Object

    from oopsight.shell import structs

    with out.item("maple_tree"):
        structs.one(shell, Object(shell.prog, "struct maple_tree", address=start), [], args, out)


class _Shown:
    """Shows each entry as -s and -p say."""

    def __init__(self, shell: Shell, args: Args, out: Out) -> None:
        self.shell, self.args, self.out = shell, args, out
        self.types: list[tuple[Any, list[str]]] = []
        for value in (v for f, v in args.given if f in ("-s", "-S") and v):
            name, _, members = value.partition(".")
            paths = [part for part in members.split(",") if part]
            self.types.append((find_struct(shell.prog, name), paths))

    def show(self, address: int, place: str) -> None:
        from drgn import Object

        from oopsight.shell import structs

        self.out.row(f"{address:x}", address=Address(address), place=place)
        if self.args.has("-p"):
            key = "position" if place.startswith("root") else "  place"
            self.out.line(f"  {key}: {place}")
        for type_, paths in self.types:
            value = Object(self.shell.prog, type_, address=address)
            with self.out.item(f"entry {address:x}"):
                structs.one(self.shell, value, paths, self.args, self.out)


def drgn_code(shell: Shell, args: Args) -> str:
    """The helper of each kind of tree."""
    kind = next((k for k in _KINDS if k.startswith(args.value("-t") or "rbtree")), "rbtree")
    if not args.rest:
        raise UsageError("there is drgn code only for a start")
    start = shell.address(args.rest[0]) + offset_of(shell.prog, args.value("-r") or "0")
    type_, helper = {
        "rbtree": ("struct rb_root", "rb_first"),
        "radix": ("struct radix_tree_root", "radix_tree_for_each"),
        "xarray": ("struct xarray", "xa_for_each"),
        "maple": ("struct maple_tree", "mt_for_each"),
    }[kind]
    root = f'root = Object(prog, "{type_} *", {start:#x})'
    if kind == "rbtree":
        return f"""
{root}
node = rb_first(root)
while node:
    print(hex(node))
    node = rb_next(node)"""
    return f"""
{root}
for *index, entry in {helper}(root):
    print(index, hex(entry))"""
