"""Display information about loaded modules.

Debug information of a module is not loaded until asked for (-s, -S): names in modules come from the
dump's own symbol tables.

Examples
The modules that are out of tree, unsigned or proprietary:

    crash> mod -t

Load the debug information of one module, from the debug packages or from a file:

    crash> mod -s virtio_blk
    crash> mod -s syshook_linux /root/syshook_linux.ko.debug

Where each section of the loaded modules lies:

    crash> mod -g
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import drgn

from oopsight.evidence import Address
from oopsight.shell.output import readable_errors
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "mod [-s module [objfile] | -d module | -S [directory]] [-D|-t|-r|-R|-o|-g]"
OPTIONS = {
    "-s MODULE": "load the debug information of a module",
    "-d MODULE": "forget it",
    "-S": "load that of all modules, from a directory where one is named",
    "-D": "forget that of all",
    "-t": "modules with taints, and their letters",
    "-r": "load again (as -s)",
    "-R": "load all again (as -S)",
    "-o": "in the order of their addresses (they always are)",
    "-g": "the memory of each module by its kind",
}
DRGN = ("-t",)
# include/linux/module.h, enum mod_mem_type (Linux 6.4, commit ac3b43283923)
_MEMORY = ("TEXT", "DATA", "RODATA", "RO_AFTER_INIT", "INIT_TEXT", "INIT_DATA", "INIT_RODATA")
_OLD_MEMORY = (("core_layout", "CORE"), ("init_layout", "INIT"))


def run(shell: Shell, args: Args, out: Out) -> None:
    """List modules, or load debug information."""
    from drgn.helpers.linux.module import for_each_module

    if args.has("-s", "-S", "-r", "-R"):
        _load(shell, args, out)
    if args.has("-d", "-D"):
        _forget(shell, args.value("-d"), out)
        return
    modules = list(out.walk(for_each_module(shell.prog), "list of modules", 10_000))
    if args.has("-t"):
        _taints(shell, modules, out)
        return
    rows = []
    for module in modules:
        with out.item(f"module {module.value_():x}"):
            rows.append(_row(shell, module, out))
    rows.sort(key=lambda row: row["base"])
    wanted = set(args.rest) | ({args.value("-s")} if args.has("-s") else set())
    width = max([len("NAME"), *(len(str(row["name"])) for row in rows)])
    digits = max([len("SIZE"), *(len(str(row["size"])) for row in rows)])
    # Since Linux 6.4 a module's parts lie apart (commit ac3b43283923).
    base = "TEXT_BASE" if shell.prog.type("struct module").has_member("mem") else "BASE"
    size = f"{'SIZE':>{digits}}"
    out.line(f"     MODULE       {'NAME':<{width}}  {base:^16}  {size}  OBJECT FILE")
    for row in rows:
        if args.has("-s") and row["name"] not in wanted:
            continue
        out.row(
            f"{row['module']:016x}  {row['name']!s:<{width}}  {row['base']:016x}  "
            f"{row['size']:>{digits}}  {row['file'] or '(not loaded)  [CONFIG_KALLSYMS]'}",
            **row,
        )
        if args.has("-g"):
            _memory(row, modules, out)


def _row(shell: Shell, module: Any, out: Out) -> dict[str, Any]:
    from drgn.helpers.linux.module import module_address_regions

    name = out.got(lambda: printable(c_string(module.name)), "name")
    regions = [(start, size) for start, size in module_address_regions(module) if size]
    file = None
    try:
        found = shell.prog.module(module)
        file = found.debug_file_path or found.loaded_file_path
    except readable_errors():
        pass
    init = _init_regions(module)
    core = [r for r in regions if r not in init] or regions
    return {
        "module": Address(module.value_()),
        "name": name,
        "base": Address(_base(module, core)),
        "size": sum(size for _, size in core),
        "file": file,
    }


def _base(module: Any, core: list[tuple[int, int]]) -> int:
    """Where its text begins; its data may lie below, and far away."""
    try:
        return int(module.mem[_MEMORY.index("TEXT")].base.value_())
    except AttributeError:
        return min(start for start, _ in core)


def _init_regions(module: Any) -> list[tuple[int, int]]:
    try:
        memory = module.mem
    except AttributeError:
        return []
    return [
        (int(memory[i].base.value_()), int(memory[i].size.value_())) for i in range(4, len(memory))
    ]


def _taints(shell: Shell, modules: list[Any], out: Out) -> None:
    from drgn.helpers.linux.module import module_taints

    rows = []
    for module in modules:
        name = out.got(lambda module=module: printable(c_string(module.name)), "name")  # type: ignore[misc]
        taints = out.got(lambda module=module: module_taints(module), "taints")  # type: ignore[misc]
        if taints:
            rows.append((name, taints))
    if not rows:
        out.line("no tainted modules")
        return
    width = max([len("NAME"), *(len(str(name)) for name, _ in rows)])
    out.line(f"{'NAME':<{width}}  TAINTS")
    for name, taints in reversed(rows):
        out.row(f"{name!s:<{width}}  {taints}", name=name, taints=taints)


def _memory(row: dict[str, Any], modules: list[Any], out: Out) -> None:
    module = next(m for m in modules if m.value_() == row["module"])
    try:
        parts = [(kind, module.mem[i]) for i, kind in enumerate(_MEMORY)]
    except AttributeError:
        parts = [(kind, module.member_(name)) for name, kind in _OLD_MEMORY]
    for kind, part in parts:
        with out.item(kind, indent="    "):
            size = int(part.size.value_())
            if size:
                out.line(f"    {kind:<14} {part.base.value_():016x}  {size:>8}")


def _load(shell: Shell, args: Args, out: Out) -> None:
    prog = shell.prog
    wanted = None if args.has("-S", "-R") else args.value("-s") or next(iter(args.rest), None)
    place = args.rest[-1] if args.rest else None
    modules = [
        module
        for module, _ in prog.loaded_modules()
        if wanted in (None, module.name) and isinstance(module, drgn.RelocatableModule)
    ]
    if not modules:
        out.line(f"mod: no module {wanted!r} is loaded in the dump")
        return
    for module in modules:
        files = list(_files_of(shell, module, place))
        refusals = []
        for file in files:
            try:
                module.try_file(file)
            except (OSError, ValueError, drgn.FaultError, LookupError) as error:
                refusals.append(f"mod: {file}: {error}")
                continue
            if module.debug_file_status == drgn.ModuleFileStatus.HAVE:
                refusals.clear()
                break
            refusals.append(
                f"mod: {file}: not the file of this module, or without debug information"
            )
        if not files:
            out.line(f"mod: {module.name}: no file with its debug information is at hand")
        for line in refusals:
            out.line(line)
    shell.forget_names()


def _forget(shell: Shell, name: str | None, out: Out) -> None:
    """Open the dump again without the debug information of one module, or of all."""
    files = {
        module.name: module.debug_file_path
        for module, _ in shell.prog.loaded_modules()
        if isinstance(module, drgn.RelocatableModule) and module.debug_file_path
    }
    if name is not None and name not in files:
        out.line(f"mod: {name}: no debug information of a module of this name was loaded")
        return
    shell.reopen()
    for module, _ in shell.prog.loaded_modules():
        if name not in (None, module.name) and module.name in files:
            module.try_file(files[module.name])


def _files_of(shell: Shell, module: Any, place: str | None) -> Iterator[Path]:
    from oopsight.symbols.module_places import Place, find, module_places

    if place is not None and Path(place).is_file():
        yield Path(place)
        return
    info = shell.session.info
    places = module_places(info.path, info.release, shell.session.debug_directories)
    if place is not None and Path(place).is_dir():
        places = (Place(Path(place), "as given"), *places)
    yield from (found.path for found in find(module.name, places) if not found.compressed)


def drgn_code(shell: Shell, args: Args) -> str:
    """The list of modules; taints of those that have any."""
    del shell
    if args.has("-t"):
        return """
for module in for_each_module(prog):
    if module_taints(module):
        print(module.name.string_().decode(), module_taints(module))"""
    return """
for module in for_each_module(prog):
    print(hex(module), module.name.string_().decode(), list(module_address_regions(module)))"""
