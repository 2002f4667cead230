"""Display extended Berkeley Packet Filter programs and maps.

Examples
    crash> bpf
    crash> bpf -P
    crash> bpf -p 12 -T
    crash> bpf -p 12 -j
    crash> bpf -m 3 -s
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.numbers import decimal_first
from oopsight.shell.output import readable_errors
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "bpf [[-p ID | -P] [-tTj]] [[-m ID] | -M] [-s] [-xd]"
OPTIONS = {
    "-p ID": "one program with its details",
    "-P": "all programs with their details",
    "-t": "the program's instructions",
    "-T": "as -t, with their bytes",
    "-j": "the machine code that was made of it",
    "-m ID": "one map with its details",
    "-M": "all maps with their details",
    "-s": "the structs whole",
    "-x": "numbers in hexadecimal",
    "-d": "numbers in decimal",
}
DRGN = ("-P", "-M")
MOST = 100_000
_TITLE = " ID      BPF_PROG        BPF_PROG_AUX     BPF_PROG_TYPE        TAG         USED_MAPS"
MOST_INSTRUCTIONS = 1_000_000


def run(shell: Shell, args: Args, out: Out) -> None:
    """List programs and maps."""
    from oopsight.shell import CommandError

    details = args.has("-p", "-P", "-m", "-M")
    if not details or args.has("-p", "-P"):
        wanted = decimal_first(args.value("-p") or "") if args.has("-p") else None
        found = 0
        for number, program in _programs(shell, out):
            if wanted is not None and number != wanted:
                continue
            found += 1
            with out.item(f"program {number}"):
                _program(shell, number, program, args, out, details=details)
        if args.has("-p") and not found:
            raise CommandError(f"invalid program ID: {args.value('-p')}")
    if not details or args.has("-m", "-M"):
        if not details:
            out.line()
        wanted = decimal_first(args.value("-m") or "") if args.has("-m") else None
        found = 0
        for number, map_ in _maps(shell, out):
            if wanted is not None and number != wanted:
                continue
            found += 1
            with out.item(f"map {number}"):
                _map(shell, number, map_, args, out, details=details)
        if args.has("-m") and not found:
            raise CommandError(f"invalid map ID: {args.value('-m')}")


def _by_id(shell: Shell, table: str, kind: str, out: Out) -> Iterator[tuple[int, Any]]:
    from drgn import cast
    from drgn.helpers.linux.idr import idr_for_each

    for number, entry in out.walk(idr_for_each(shell.prog[table].address_of_()), table, MOST):
        yield number, cast(f"struct {kind} *", entry)


def _programs(shell: Shell, out: Out) -> Iterator[tuple[int, Any]]:
    return _by_id(shell, "prog_idr", "bpf_prog", out)


def _maps(shell: Shell, out: Out) -> Iterator[tuple[int, Any]]:
    return _by_id(shell, "map_idr", "bpf_map", out)


def _enumerator(value: Any, prefix: str) -> str:
    try:
        name = value.format_(type_name=False)
    except readable_errors():
        name = str(value)
    return str(name).strip("()").rpartition(")")[2].removeprefix(prefix)


def _program(
    shell: Shell, number: int, program: Any, args: Args, out: Out, *, details: bool
) -> None:  # one signature
    from oopsight.shell import structs

    auxiliary = program.aux.read_()
    kind = _enumerator(program.type, "BPF_PROG_TYPE_")
    tag = program.tag.to_bytes_().hex()
    used = out.got(
        lambda: [
            int(auxiliary.used_maps[i].id.value_())
            for i in range(int(auxiliary.used_map_cnt.value_()))
        ],
        "maps",
    )
    shown = ",".join(map(str, used)) if isinstance(used, list) else str(used)
    out.line(_TITLE)
    out.row(
        f"{number:3}  {program.value_():016x}  {auxiliary.value_():016x}  {kind:^16} {tag}  "
        f"{shown}",
        id=number,
        bpf_prog=Address(program.value_()),
        aux=Address(auxiliary.value_()),
        type=kind,
        tag=tag,
        maps=used,
    )
    if details:
        name = out.got(lambda: printable(c_string(auxiliary.name)), "name")
        loaded = out.got(lambda: int(auxiliary.load_time.value_()), "load_time")
        user = out.got(
            lambda: int(auxiliary.user.uid.val.value_()) if auxiliary.user else "(unused)", "uid"
        )
        length, jitted = int(program.len.value_()), int(program.jited_len.value_())
        out.line(f"     XLATED: {length * 8}  JITED: {jitted}")
        out.line(f"     LOAD_TIME: {loaded} ns since boot")
        free = "yes" if program.gpl_compatible else "no"
        out.line(f'     GPL_COMPATIBLE: {free}  NAME: "{name}"  UID: {user}')
    if args.has("-t", "-T"):
        _instructions(program, args, out)
    if args.has("-j"):
        _machine_code(shell, program, out)
    if args.has("-s"):
        structs.one(shell, program[0], [], args, out)
        structs.one(shell, auxiliary[0], [], args, out)
    if details:
        out.line()


def _instructions(program: Any, args: Args, out: Out) -> None:
    length = min(int(program.len.value_()), MOST_INSTRUCTIONS)
    data = program.prog_.read(program.insnsi.address_, length * 8)
    from oopsight.shell.bpf_code import lines

    for index, raw, text in lines(data):
        code = f"({raw.hex(' ')}) " if args.has("-T") else ""
        out.line(f"{index:4}: {code}{text}")


def _machine_code(shell: Shell, program: Any, out: Out) -> None:
    from oopsight.shell.commands.dis import decode

    if not program.jited:
        out.line("     (not jited)")
        return
    start, size = int(program.bpf_func.value_()), int(program.jited_len.value_())
    for row in decode(shell, shell.session.read(start, min(size, 1 << 20)), start):
        target = shell.names.show(row.target) if row.target is not None else None
        label = f" <{target}>" if target else ""
        out.line(f"{row.address:#x}:  {row.mnemonic} {row.operands}{label}".rstrip())


def _map(shell: Shell, number: int, map_: Any, args: Args, out: Out, *, details: bool) -> None:
    from oopsight.shell import structs

    kind = _enumerator(map_.map_type, "BPF_MAP_TYPE_")
    flags = int(map_.map_flags.value_())
    out.line(" ID      BPF_MAP         BPF_MAP_TYPE     MAP_FLAGS")
    out.row(
        f"{number:3}  {map_.value_():016x}  {kind:^16}  {flags:08x}",
        id=number,
        bpf_map=Address(map_.value_()),
        type=kind,
        flags=flags,
    )
    if details:
        name = out.got(lambda: printable(c_string(map_.name)), "name")
        sizes = [int(map_.member_(m).value_()) for m in ("key_size", "value_size", "max_entries")]
        user: Any = "(unused)"
        try:
            user = int(map_.memory.user.uid.val.value_())
        except readable_errors():
            pass
        out.line(f"     KEY_SIZE: {sizes[0]}  VALUE_SIZE: {sizes[1]}  MAX_ENTRIES: {sizes[2]}")
        out.line(f'     NAME: "{name}"  UID: {user}')
    if args.has("-s"):
        structs.one(shell, map_[0], [], args, out)
    if details:
        out.line()


def drgn_code(shell: Shell, args: Args) -> str:
    """Programs and maps."""
    programs = """
for program in bpf_prog_for_each(prog):
    print(program.aux.id.value_(), hex(program), hex(program.aux))"""
    maps = """
for bpf_map in bpf_map_for_each(prog):
    print(bpf_map.id.value_(), hex(bpf_map))"""
    return (programs if not args.has("-M") else "") + (maps if not args.has("-P") else "")
