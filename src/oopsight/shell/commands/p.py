"""Print the value of an expression.

Variables, members, pointers, casts, arithmetic, ``sizeof`` and ``array@count``, as in C; functions
cannot be called. ``:CPUS`` behind a per-CPU variable gives that of each CPU.

Examples
A variable, a member, what a pointer leads to:

    crash> p jiffies
    crash> p init_task.comm
    crash> p *((struct task_struct *)0xffff8ebac28820c0)->mm

In hexadecimal; of each CPU:

    crash> p -x init_task.tasks
    crash> p runqueues.nr_running:a
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from oopsight.errors import UsageError
from oopsight.evidence import Address
from oopsight.shell.expression import evaluate
from oopsight.shell.gdbformat import Format, declaration
from oopsight.shell.numbers import cpus
from oopsight.shell.output import gap_from, plain, readable_errors
from oopsight.shell.tasks import cpu_of, cpus_of

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "p [-x|-d][-u] expression | symbol[:cpus]"
OPTIONS = {
    "-x": "in hexadecimal",
    "-d": "in decimal",
    "-u": "the expression is an address in user space of the current task",
}
RAW = True
_FLAG = re.compile(r"(?:-([xdu]+)|/([xd]))(?:\s+|$)")
_CPUS = re.compile(r"(.+?):\s*([\d,\-]*|a|all)\s*$")


def run(shell: Shell, args: Args, out: Out) -> None:
    """Evaluate and print."""
    text = args.raw.strip()
    flags = ""
    match = _FLAG.match(text)
    while match:
        flags += match.group(1) or match.group(2)
        text = text[match.end() :].strip()
        match = _FLAG.match(text)
    print_expression(shell, text, out, flags)


def print_expression(shell: Shell, text: str, out: Out, flags: str = "") -> None:
    """Print an expression with its history number, as gdb counts them."""
    from oopsight.shell import CommandError

    if not text:
        raise CommandError(f"an expression is needed; usage: {SYNOPSIS}")
    hexa = "x" in flags or (shell.settings.radix == 16 and "d" not in flags)
    form = Format(shell.names, out, hexa)
    try:
        if "u" in flags:
            _show_user(shell, text, form, out)
            return
        match = _CPUS.match(text)
        if match and "?" not in text:
            _show_per_cpu(shell, match.group(1), match.group(2), form, out)
            return
        value = evaluate(shell.prog, text)
        name = f"{text} = " if re.fullmatch(r"[A-Za-z_]\w*", text) else ""
        show(shell, value, name, form, out)
    except (ValueError, LookupError, AttributeError) as error:
        raise CommandError(f"{text}: {str(error).strip(chr(39))}") from None
    except readable_errors() as error:
        gap = out.count(gap_from(error, text))
        out.line(gap.line)


def show(shell: Shell, value: Any, name: str, form: Format, out: Out) -> None:
    """One value under its history number."""
    from drgn import TypeKind

    number = shell.cache["history"] = shell.cache.get("history", 0) + 1
    cast = ""
    kind = value.type_.unaliased_kind()
    if kind == TypeKind.POINTER and value.address_ is None:
        cast = f"({declaration(value.type_, '')}) "
    if kind == TypeKind.FUNCTION:
        found = shell.names.of(value.address_)
        text = f"{{{declaration(value.type_, '')}}} {value.address_:#x}"
        text += f" <{found.name}>" if found else ""
    elif kind == TypeKind.ARRAY and value.type_.length is None:
        text = _unbounded(shell, value)
    else:
        text = form.value(value)
    out.line(f"{name}${number} = {cast}{text}")
    out.row(
        None,
        expression=name.removesuffix(" = "),
        type=value.type_.type_name(),
        address=None if value.address_ is None else Address(value.address_),
        value=plain(text),
    )


def _unbounded(shell: Shell, value: Any) -> str:
    """An array of unknown length: where it lies, and the text where it is one."""
    from drgn import Object

    if not value.address_:
        return "{}"
    form = Format(shell.names)
    pointer = Object(value.prog_, value.prog_.pointer_type(value.type_.type), value.address_)
    return form.pointer(pointer, value.address_)


def _show_per_cpu(shell: Shell, text: str, spec: str, form: Format, out: Out) -> None:
    from drgn.helpers.linux.percpu import per_cpu

    match = re.match(r"([A-Za-z_]\w*)(.*)", text)
    if match is None:
        raise ValueError(f"{text!r} is no per-CPU variable")
    variable = shell.prog[match.group(1)]
    chosen = cpus(spec, cpus_of(shell.prog)) if spec else [cpu_of(shell.task)]
    for cpu in chosen:
        with out.item(f"{text} of CPU {cpu}"):
            value = per_cpu(variable, cpu)
            path = match.group(2)
            if path:
                from oopsight.shell.types import member_of

                value = member_of(value, path.lstrip("."))
            show(shell, value, f"per_cpu({text}, {cpu}) = ", form, out)


def _show_user(shell: Shell, text: str, form: Format, out: Out) -> None:
    from drgn import Object
    from drgn.helpers.linux.mm import access_process_vm

    address = shell.address(text)
    data = access_process_vm(shell.task, address, 8)
    show(shell, Object.from_bytes_(shell.prog, "unsigned long", data), f"{text} = ", form, out)


_VARIABLE = re.compile(r"(&?)([A-Za-z_]\w*)((?:\.\w+|->\w+|\[\d+\])*)")
_CAST = re.compile(
    r"(\*?)\(?\(((?:struct |union )?\w+) ?\*\) ?(0x[0-9a-fA-F]+)\)?((?:\.\w+|->\w+|\[\d+\])*)"
)


def drgn_code(shell: Shell, args: Args) -> str:
    """Variables and casts with their members; nothing that is calculated."""
    text = _FLAG.sub("", args.raw.strip())
    if match := _VARIABLE.fullmatch(text):
        address, name, members = match.groups()
        if name in shell.prog:
            taken = ".address_of_()" if address else ""
            return f'print(prog["{name}"]{members.replace("->", ".")}{taken})'
    if match := _CAST.fullmatch(text):
        followed, type_, where, members = match.groups()
        last = "[0]" if followed else ""
        members = members.replace("->", ".")
        return f'print(Object(prog, "{type_} *", {where}){members}{last})'
    raise UsageError("there is short drgn code only for variables, and casts of an address")
