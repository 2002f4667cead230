#!/usr/bin/env python3
"""Make the table of variables' types, which BTF does not hold, from debug vmlinuxes.

``tools/variable_types.py VMLINUX...`` rewrites ``src/oopsight/symbols/pack/variables.txt``. Each
vmlinux stands for its release series (6.1, 6.12 ...): the table is believed only between series
that agree, see :mod:`oopsight.symbols.pack.variables`, which also describes the notation.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

import _drgn
import drgn
from drgn import SymbolKind, TypeKind

PACKAGE = Path(__file__).resolve().parent.parent / "src/oopsight"
OUTPUT = PACKAGE / "symbols/pack/variables.txt"
# Made by macros, one for each tracepoint, system call, initcall, message ...; nobody looks at them.
NOISE = re.compile(
    r"""__(ksymtab|kstrtab|tracepoint|tp|param|setup|initcall|func|already|warned|event|syscall)
    | __(p_|SC[KT]_|TRACE|bpf_trace|pfx|print|exit|UNIQUE|addressable|dyn|bug|of_table|mod|key|msg)
    | __(compound|initconst|quirk|apicdrivers|acpi_probe|irqchip|timer_of|clk_of|bprm|cpu_method)
    | .*_tv_template(_.*)?$ | event_ | trace_event_ | print_fmt_ | str__ | descriptor | enter_
    | exit_ | types__ | args__ | trace_ | bpf_trace | \.L | .*\.\d+$ | .*_(entry|ptr)$
    | .*_initcall | .*_(attr|attrs|attr_group|attribute_group|format_group|events_attrs)$
    | dev_attr_ | btf_ | ftrace_events_ | event_attr_ | format_attr_ | attr_ | .*_proto$
    | .*_(devtype|dt_match|of_match|acpi_match|ids|id_table|pm_ops|btf_ids|kfunc_set|set)$
    | .*_key(s)?$ | .*_fops$ | bpf_.*_proto | param_ | key_ | force_tp | .*_uncore_ | uncore_
    | snbep_ | ivbep_ | hswep_
    """,
    re.VERBOSE,
)
# Types of switches and of tables that only their own code reads.
NOISE_TYPES = re.compile(
    r"""(const\ |\[\d+\]|\*)*
    (struct\ (static_key|static_key_(true|false)|trace_eval_map|ext4_attr|attribute_group
    |device_attribute|kobj_attribute|cftype|nla_policy|ctl_table|trace_event_functions
    |kernel_param_ops|ftrace_likely_data|bpf_verifier_ops|genl_(small_)?ops|dmi_system_id
    |pci_device_id|acpi_device_id|of_device_id|x86_cpu_id|snd_.*|btf_id_set8|event_constraint
    |ethnl_request_ops|regmap_.*|srcu_struct_ptrs|obs_kernel_param|alloc_class)
    |initcall_entry_t|s8|u8)$""",
    re.VERBOSE,
)
KINDS = {
    TypeKind.STRUCT: "struct ",
    TypeKind.UNION: "union ",
    TypeKind.ENUM: "enum ",
    TypeKind.TYPEDEF: "",
    TypeKind.INT: "",
    TypeKind.BOOL: "",
    TypeKind.FLOAT: "",
}


def looked_up() -> set[str]:
    """Words that drgn's helpers and Oopsight have in quotes: among them, the names they look up."""
    files = [*Path(drgn.__file__).parent.rglob("*.py"), *PACKAGE.rglob("*.py")]
    words = {w for file in files for w in re.findall(r"[\"'](\w+)[\"']", file.read_text())}
    # Its C code has strings too, each between two NULs.
    binary = Path(_drgn.__file__).read_bytes()
    return words | {w.decode() for w in re.findall(rb"(?<=\0)[A-Za-z_]\w{2,}(?=\0)", binary)}


def notation(type_: drgn.Type, depth: int = 0) -> str | None:
    """The type in the table's words; ``None`` for what these cannot say."""
    qualifiers = "".join(
        word
        for flag, word in (
            (drgn.Qualifiers.CONST, "const "),
            (drgn.Qualifiers.VOLATILE, "volatile "),
        )
        if type_.qualifiers & flag
    )
    if type_.kind == TypeKind.VOID:
        return f"{qualifiers}void" if depth else None
    if type_.kind == TypeKind.POINTER:
        inner = notation(type_.type, depth + 1)
        return inner and f"{qualifiers}*{inner}"
    if type_.kind == TypeKind.ARRAY:
        inner = notation(type_.type, depth + 1)
        return inner and f"{qualifiers}[{type_.length or 0}]{inner}"
    if type_.kind not in KINDS:
        return None
    if getattr(type_, "name", None) is None and not hasattr(type_, "tag"):
        return None
    name = type_.tag if hasattr(type_, "tag") else type_.name
    if name is None:
        return members(type_, depth) if type_.kind == TypeKind.STRUCT else None
    return f"{qualifiers}{KINDS[type_.kind]}{name}"


def members(type_: drgn.Type, depth: int) -> str | None:
    """A struct without a name, by its members."""
    parts = []
    if depth or not type_.members:
        return None
    for member in type_.members:
        inner = notation(member.type, depth + 1)
        if not inner or not member.name or member.bit_field_size or member.bit_offset % 8:
            return None
        parts.append(f"{member.bit_offset // 8} {member.name} {inner}")
    return f"{{{type_.size};{';'.join(parts)}}}"


def labels(prog: drgn.Program) -> set[str]:
    """Symbols inside of functions written in assembly: ``entry_SYSCALL_64_after_hwframe``."""
    kinds = (SymbolKind.FUNC, SymbolKind.UNKNOWN)
    symbols = [symbol for symbol in prog.symbols() if symbol.kind in kinds]
    found, functions, end = set(), set(), 0
    for symbol in sorted(symbols, key=lambda symbol: (symbol.address, not symbol.size)):
        if symbol.size:
            end = max(end, symbol.address + symbol.size)
            functions.add(symbol.name)
        elif symbol.address < end:
            found.add(symbol.name)
    return {name for name in found - functions if re.fullmatch(r"(?!\.L)[\w.]+", name)}


def variables(vmlinux: Path) -> tuple[str, dict[str, str], set[str]]:
    """Series of a kernel, name to type of all its variables that have but one meaning, labels."""
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    module = prog.extra_module("vmlinux", create=True)
    module.try_file(vmlinux, force=True)
    release = re.search(rb"Linux version (\d+\.\d+)", vmlinux.read_bytes())
    if not release:
        sys.exit(f"{vmlinux}: no Linux version")
    addresses: dict[str, list[int]] = defaultdict(list)
    every = prog.symbols()
    # The per-CPU variables are in BTF as well, but not in that of every kernel; before Linux 6.15
    # they lie from address 0 on.
    marks = {s.name: s.address for s in every if s.name in ("__per_cpu_start", "__per_cpu_end")}
    per_cpu = range(marks["__per_cpu_start"], marks["__per_cpu_end"])
    for symbol in every:
        kernel = symbol.address >= 1 << 63 or symbol.address in per_cpu
        if symbol.kind == SymbolKind.OBJECT and kernel:
            addresses[symbol.name].append(symbol.address)
    found, keep = {}, looked_up()
    for name, places in sorted(addresses.items()):
        if len(places) > 1 or (NOISE.match(name) and name not in keep):
            continue
        try:
            variable = prog.variable(name)
            text = notation(variable.type_)
        except LookupError:
            continue
        noise = name not in keep and NOISE_TYPES.match(text or "")
        if text and not noise and variable.address_ == places[0]:
            found[name] = text
    return release[1].decode(), found, labels(prog)


def main() -> None:
    """Write the table."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    made = [variables(Path(argument)) for argument in sys.argv[1:]]
    tables = {series: table for series, table, _ in made}
    inside = sorted(set().union(*(names for _, _, names in made)))
    series = sorted(tables, key=lambda s: tuple(map(int, s.split("."))))
    # Set of series -> type -> names.
    grouped: dict[tuple[str, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in sorted({name for table in tables.values() for name in table}):
        for text in sorted({table[name] for table in tables.values() if name in table}):
            where = tuple(s for s in series if tables[s].get(name) == text)
            grouped[where][text].append(name)
    lines = [f"# Made by tools/{Path(__file__).name}.", f"checked {' '.join(series)}"]
    lines.append(f"labels {' '.join(inside)}")
    for where in sorted(grouped, key=lambda w: (-len(w), w)):
        lines.append(f"@ {' '.join(where)}")
        lines += [f"{text}: {' '.join(names)}" for text, names in sorted(grouped[where].items())]
    OUTPUT.write_text("\n".join(lines) + "\n")
    for s in series:
        print(f"{s}: {len(tables[s])} variables")  # noqa: T201  # a tool speaks on stdout


if __name__ == "__main__":
    main()
