"""Say what an address or a register's value is: whose memory, in which state, and what is near.

A register is one of the crash (rip, rdi, …). For a slab object its cache, state, neighbours and,
where the kernel recorded them, who allocated and freed it are told; for an address of the module
area without a module, what is known of what was there.

Examples
    crash> what ffffffffc0452030
    crash> what rdx
    crash> what ffff8ebac285bf60 -r
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence import Address, Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.memory.owner import Owner, SlabObject, neighbour, owner_of
from oopsight.evidence.memory.slab_tracks import Track
from oopsight.evidence.modules.modules import Modules
from oopsight.shell.code import one_address

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "what [-r] address | register ..."
OPTIONS = {"-r": "and who points to it (as refs does)"}


def run(shell: Shell, args: Args, out: Out) -> None:
    """Identify each argument."""
    from oopsight.shell import CommandError

    if not args.rest:
        raise CommandError(f"an address or a register is needed; usage: {SYNOPSIS}")
    for number, word in enumerate(args.rest):
        if number:
            out.line()
        address, register = _value(shell, word)
        show(shell, address, register, out)
        if args.has("-r"):
            command = shell.command("refs")
            if command is not None:
                out.line()
                shell.call(command, [f"{address:x}"], f"{address:x}", out)


def _value(shell: Shell, word: str) -> tuple[int, str | None]:
    backtrace = shell.evidence.get(Backtrace)
    if not isinstance(backtrace, Missing):
        name = word.lower().lstrip("%")
        value = backtrace.register(name)
        if value is not None:
            return int(value), name
    return shell.address(word), None


def show(shell: Shell, address: int, register: str | None, out: Out) -> None:
    """Say what an address is."""
    modules = shell.evidence.get(Modules)
    known = None if isinstance(modules, Missing) else modules
    owner = owner_of(shell.session, known, address)
    head = f"{register} = " if register else ""
    out.line(f"{head}{address:x}: {owner.kind}: {owner.detail}")
    readable = "can be read" if owner.mapped else "cannot be read"
    if owner.is_memory or owner.kind == "user":
        out.line(f"  memory: {readable}")
    symbol = shell.names.show(address)
    if symbol and owner.symbol:
        out.line(f"  symbol: {symbol}")
        lines = shell.names.source(address)
        if lines:
            out.line(f"  source: {lines[0]}")
    if owner.kind == "module-area-gap":
        from oopsight.shell.unloaded import former_owner

        for line in former_owner(shell, address).lines:
            out.line(f"  {line}")
    if owner.slab is not None:
        _slab(shell, known, owner, owner.slab, out)
    for track in owner.tracks:
        out.line(f"  {_record(track)}")
    out.row(
        None,
        address=Address(address),
        register=register,
        kind=owner.kind,
        detail=owner.detail,
        module=owner.module,
        symbol=owner.symbol,
        offset=owner.offset,
        cache=owner.slab.cache if owner.slab else None,
        object=owner.slab.address if owner.slab else None,
        state=owner.slab.state if owner.slab else None,
        mapped=owner.mapped,
    )


def _slab(shell: Shell, modules: Modules | None, owner: Owner, one: SlabObject, out: Out) -> None:
    member = typed_member(shell, one.cache, owner.offset or 0)
    if member:
        out.line(f"  member: {member}")
    out.line(f"  object: {one.address:x}, {one.size} bytes, {one.state}")
    if one.poisoned:
        out.line("  filled with the pattern of freed objects")
    for track in one.tracks:
        out.line(f"  {_record(track)}")
    for step, word in ((-1, "before"), (1, "behind")):
        other = neighbour(shell.session, modules, one, step)
        if other is not None:
            out.line(f"  object {word}: {other.address:x}, {other.state}")
    for reference in one.refers:
        out.line(
            f"  holds at {reference.offset:#x} a pointer to {reference.symbol} [{reference.module}]"
        )


def _record(track: Track) -> str:
    """Who allocated or freed, in one line."""
    able = track.blamable or track.calls
    by = f" by {able[0].function}" if able else ""
    module = f" [{able[0].module}]" if able and able[0].module else ""
    pid = "" if track.pid is None else f", pid {track.pid}"
    when = "" if track.cpu is None else f", CPU {track.cpu}, jiffies {track.jiffies}"
    return f"{track.what}{by}{module}{pid}{when}"


def typed_member(shell: Shell, cache: str, offset: int) -> str | None:
    """The member at an offset, where the cache is named after the struct that it holds."""
    from oopsight.evidence.flow.type_names import member_at
    from oopsight.shell.types import find_struct

    for name in (cache, cache.removesuffix("_cache"), cache.removesuffix("_cachep")):
        try:
            type_ = find_struct(shell.prog, name)
        except LookupError:
            continue
        if not type_.is_complete():
            continue
        found = member_at(type_, offset)
        if found is not None:
            return f"{type_.type_name()}.{found[0]}"
    return None


def drgn_code(shell: Shell, args: Args) -> str:
    """What drgn makes of an address."""
    return f"""
from drgn.helpers.common.memory import identify_address

print(identify_address(prog, {one_address(shell, args)}))"""
