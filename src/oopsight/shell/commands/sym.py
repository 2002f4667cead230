"""Translate a symbol to its address, or an address to its symbol.

Shown are the symbol with the offset in it, its kind as `nm` shows it, the source line of exactly
this address, and the calls that were inlined there. Symbols of modules without debug information
are found too. An address of the module area that no loaded module holds is told as such, with the
module unloaded last and what is known of its former place.

Examples
An address in the middle of a function:

    crash> sym ffffffff812ae3a9

The symbol before and after:

    crash> sym -p -n strnlen

All symbols with a word in their name; those of one module:

    crash> sym -q slab_show
    crash> sym -m virtio_ring
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from oopsight.evidence import Address, Missing
from oopsight.evidence.modules.modules import Modules
from oopsight.shell.names import Named
from oopsight.shell.numbers import hexadecimal

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "sym [-l] | [-M] | [-m module] | [-p|-n] | [-q string] | [symbol | vaddr] ..."
OPTIONS = {
    "-l": "all symbols",
    "-M": "all symbols of modules",
    "-m MODULE": "the symbols of one module",
    "-p": "the symbol before too",
    "-n": "the symbol after too",
    "-q STRING": "symbols with the string in their name",
}


def run(shell: Shell, args: Args, out: Out) -> None:
    """Look up symbols and addresses."""
    from oopsight.shell import CommandError

    if args.has("-l"):
        for address, _, name, letter in shell.names.all():
            _symbol(shell, out, address, name, letter)
    if args.has("-M", "-m"):
        _module_symbols(shell, args.value("-m"), out)
    text = args.value("-q")
    if text:
        for address, _, name, letter in shell.names.containing(text):
            _symbol(shell, out, address, name, letter)
    if not args.rest and not args.given:
        raise CommandError(f"an address or a symbol is needed; usage: {SYNOPSIS}")
    for word in args.rest:
        _one(shell, word, args, out)


def _symbol(shell: Shell, out: Out, address: int, name: str, letter: str) -> None:
    owner = shell.names.module_at(address)
    module = f" [{owner.name}]" if owner else ""
    out.row(
        f"{address:x} ({letter}) {name}{module}",
        address=Address(address),
        kind=letter,
        name=name,
        module=owner.name if owner else None,
    )


def _module_symbols(shell: Shell, name: str | None, out: Out) -> None:
    from oopsight.shell import CommandError

    modules = shell.names.modules
    loaded = [m for m in (modules.loaded if modules else ()) if name in (None, m.name)]
    if name is not None and not loaded:
        raise CommandError(f"no module {name!r} is loaded; mod lists them")
    rows = list(shell.names.all())
    for module in sorted(loaded, key=lambda m: m.base):
        out.line(f"{module.base:x} MODULE START: {module.name}")
        for address, _, symbol, letter in rows:
            if module.holds(address):
                _symbol(shell, out, address, symbol, letter)
        end = max(end for _, end in module.ranges)
        out.line(f"{end:x} MODULE END: {module.name}")


def _one(shell: Shell, word: str, args: Args, out: Out) -> None:
    known = shell.names.address_of(word) if not word[:1].isdigit() else None
    address = known
    if address is None:
        address = hexadecimal(word)
    if address is None and "+" in word:
        base, _, offset = word.partition("+")
        start = shell.names.address_of(base)
        if start is not None and offset:
            address = start + int(offset, 0)
    if address is None:
        _not_found(shell, word, out)
        return
    named = shell.names.of(address)
    if named is None:
        _nothing_there(shell, address, out)
        return
    if args.has("-p"):
        before = shell.names.of(named.address - 1)
        if before:
            _show(shell, before.address, before, out)
    _show(shell, address, named, out, wanted=word if known is not None else None)
    if args.has("-n"):
        after = shell.names.next_after(address)
        if after is not None:
            follower = shell.names.of(after)
            if follower:
                _show(shell, after, follower, out)


def _show(shell: Shell, address: int, named: Named, out: Out, wanted: str | None = None) -> None:
    lines = shell.names.source(address) if named.letter in "tTwW" else ()
    name = wanted if wanted is not None and not named.offset else named.with_offset
    module = f" [{named.module}]" if named.module else ""
    source = f" {lines[-1]}" if lines else ""
    if len(lines) > 1:
        source = f" {lines[0]}"
    out.line(f"{address:x} ({named.letter}) {name}{module}{source}")
    for inner, outer in pairwise(lines):
        out.line(f"    {inner.function} inlined into {outer.function} at {outer}")
    if lines and shell.session.source_tree:
        from oopsight.evidence.crash.code import source_lines

        for row in source_lines(shell.session.source_tree, f"{lines[0].file}:{lines[0].line}"):
            out.line(f"  {'*' if row.faulted else ' '} {row.number:>5}  {row.text}")
    out.row(
        None,
        address=Address(address),
        kind=named.letter,
        name=named.name,
        offset=named.offset,
        module=named.module,
        source=[{"function": s.function, "file": s.file, "line": s.line} for s in lines],
    )


def _not_found(shell: Shell, word: str, out: Out) -> None:
    out.line(f"symbol not found: {word}")
    near = [row for row in shell.names.all() if word.lower() in row[2].lower()][:20]
    out.line("possible alternatives:")
    for address, _, name, letter in near:
        out.line(f"  {address:x} ({letter}) {name}")
    if not near:
        out.line("  (none found)")


def _nothing_there(shell: Shell, address: int, out: Out) -> None:
    """Say what an address without a symbol is."""
    modules = shell.evidence.get(Modules)
    if isinstance(modules, Missing) or not modules.in_area(address):
        out.line(f"{address:x}: no symbol is at this address")
        out.row(None, address=Address(address), name=None, module=None)
        return
    owner = modules.owner(address)
    if owner:
        out.line(f"{address:x}: [{owner.name}] + {address - owner.base:#x}, no symbol there")
        out.row(None, address=Address(address), name=None, module=owner.name)
        return
    from oopsight.shell.unloaded import former_owner

    former = former_owner(shell, address)
    out.line(f"{address:x}: in the module area, where no module is loaded now")
    for line in former.lines:
        out.line(f"    {line}")
    out.row(
        None,
        address=Address(address),
        name=former.symbol,
        module=None,
        unloaded_module=former.module,
        certain=former.certain,
    )


def drgn_code(shell: Shell, args: Args) -> str:
    """A symbol by name or address, and the source of an address."""
    lines = []
    for word in args.rest:
        address = hexadecimal(word) if shell.names.address_of(word) is None else None
        if address is None:
            lines.append(f'symbol = prog.symbol("{word}")\nprint(hex(symbol.address), symbol.name)')
        else:
            lines.append(
                f"symbol = prog.symbol({address:#x})\n"
                f"print(hex({address:#x} - symbol.address), symbol.name)"
            )
    return "\n".join(lines)
