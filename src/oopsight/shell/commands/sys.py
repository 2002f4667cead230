"""Display system data: kernel, dump, CPUs, date, load, tasks, memory, and the panic.

Examples
What died:

    crash> sys

Taint flags with their meaning; the firmware's names; the kernel's configuration:

    crash> sys -t
    crash> sys -i
    crash> sys config

System calls by name or number:

    crash> sys -c read
    crash> sys -c 59
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.numbers import amount, duration
from oopsight.shell.output import Gap, readable_errors
from oopsight.shell.tasks import cpus_of
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "sys [-c [name|number]] [-t] [-i] [-p] [config]"
OPTIONS = {
    "-c[=NAME]": "system calls, all or those with a name or number",
    "-t": "taint flags",
    "-i": "the firmware's DMI strings",
    "-p": "panic the system (not of a dump)",
}
DRGN = ("-t", "-c")
# include/linux/panic.h, in the order of their bits
_TAINTS = (
    ("P", "proprietary module"), ("F", "module loaded by force"),
    ("S", "machine or configuration out of specification"), ("R", "module unloaded by force"),
    ("M", "machine check"), ("B", "bad page"), ("U", "user space asked for it"), ("D", "oops"),
    ("A", "ACPI table overridden"), ("W", "warning"), ("C", "staging driver"),
    ("I", "firmware bug worked around"), ("O", "out-of-tree module"), ("E", "unsigned module"),
    ("L", "soft lockup"), ("K", "live patch"), ("X", "distribution's own"),
    ("T", "struct randomisation"), ("N", "test"), ("J", "fwctl"),
)  # fmt: skip
_MOST_CALLS = 4096
_NEWLINE = b"\n"
# With these a report of a crash in the log begins.
_FIRST_WORDS = (
    b"BUG: ", b"Oops: ", b"kernel BUG at", b"general protection fault", b"Internal error",
)  # fmt: skip


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show what is asked for."""
    from oopsight.shell import CommandError

    if args.has("-p"):
        raise CommandError("-p: the system of a dump has panicked already")
    if args.has("-c"):
        _calls(shell, args.value("-c") or next(iter(args.rest), None), out)
    elif args.has("-t"):
        _taint(shell, out)
    elif args.has("-i"):
        _firmware(shell, out)
    elif args.rest == ["config"]:
        _config(shell, out)
    elif args.rest:
        raise CommandError(f"{args.rest[0]}: usage: {SYNOPSIS}")
    else:
        for title, value in facts(shell, out):
            name = title.strip().lower().replace(" ", "_")
            out.row(f"{title:>12}: {value}", name=name, value=value)


def facts(shell: Shell, out: Out) -> Iterator[tuple[str, Any]]:
    """Titles and values, in crash's order."""
    prog = shell.prog

    def uts(member: str) -> str | Gap:
        return out.got(
            lambda: printable(c_string(prog["init_uts_ns"].name.member_(member))), member
        )

    mask = out.got(lambda: taint_mask(shell), "taints")
    tainted = "  [TAINTED]" if not isinstance(mask, Gap) and mask else ""
    yield "KERNEL", f"{shell.settings.namelist}{tainted}"
    partial = "  [PARTIAL DUMP]" if _is_partial(shell) else ""
    yield "DUMPFILE", f"{shell.settings.dumpfile}{partial}"
    cpus = cpus_of(prog)
    online = out.got(lambda: _online(prog), "online CPUs")
    stopped = ""
    if not isinstance(online, Gap) and online < len(cpus):
        stopped = f" [OFFLINE: {len(cpus) - online}]"
    yield "CPUS", f"{len(cpus)}{stopped}"
    yield "DATE", out.got(lambda: _date(shell), "date")
    yield "UPTIME", out.got(lambda: _uptime(shell), "uptime")
    yield "LOAD AVERAGE", out.got(lambda: _load(shell), "avenrun")
    yield "TASKS", len(shell.tasks())
    yield "NODENAME", uts("nodename")
    yield "RELEASE", uts("release")
    yield "VERSION", uts("version")
    speed = out.got(lambda: f"  ({int(prog['cpu_khz'].value_()) // 1000} Mhz)", "cpu_khz")
    yield "MACHINE", f"{uts('machine')}{'' if isinstance(speed, Gap) else speed}"
    from oopsight.shell.taskmemory import memory_pages

    yield "MEMORY", amount(memory_pages(shell) * 4096)
    yield "PANIC", out.got(lambda: _panic(shell), "panic message")


def _is_partial(shell: Shell) -> bool:
    """Whether makedumpfile left pages out."""
    return bool(shell.session.info.problems) or "kdump" in str(shell.session.info.format)


def _online(prog: Any) -> int:
    from drgn.helpers.linux.cpumask import for_each_online_cpu

    return len(list(for_each_online_cpu(prog)))


def _date(shell: Shell) -> str:
    from drgn.helpers.linux.timekeeping import ktime_get_real_seconds

    seconds = int(ktime_get_real_seconds(shell.prog))
    return time.strftime("%a %b %e %H:%M:%S UTC %Y", time.gmtime(seconds))


def _uptime(shell: Shell) -> str:
    from oopsight.shell.commands.ps import uptime_seconds

    return duration(uptime_seconds(shell))


def _load(shell: Shell) -> str:
    values = [int(value.value_()) for value in shell.prog["avenrun"]]
    # kernel/sched/loadavg.c: fixed point with 11 bits behind it
    return ", ".join(f"{v + 10 >> 11}.{((v + 10 & 0x7FF) * 100) >> 11:02}" for v in values)


def _panic(shell: Shell) -> str:
    from drgn.helpers.linux.panic import panic_message

    try:
        text = printable(panic_message(shell.prog) or "")
    except readable_errors():
        text = ""
    from drgn.helpers.linux.printk import get_printk_records

    try:
        records = get_printk_records(shell.prog)
        first = next((r.text for r in records if r.text.startswith(_FIRST_WORDS)), None)
    except readable_errors():
        first = None
    return f'"{printable(first.split(_NEWLINE)[0]) if first else text}"'


def taint_mask(shell: Shell) -> int:
    """The kernel's taint bits."""
    return int(shell.prog["tainted_mask"].value_())


def _taint(shell: Shell, out: Out) -> None:
    mask = taint_mask(shell)
    letters = "".join(letter for bit, (letter, _) in enumerate(_TAINTS) if mask >> bit & 1)
    out.line(f"TAINTED_MASK: {mask:x}  {letters}")
    for bit, (letter, text) in enumerate(_TAINTS):
        if mask >> bit & 1:
            out.row(f"  {letter}  {text}", bit=bit, letter=letter, meaning=text)


def _firmware(shell: Shell, out: Out) -> None:
    names = {
        int(item.value): item.name
        for item in shell.prog.type("enum dmi_field").enumerators or ()
        if item.name not in ("DMI_NONE", "DMI_STRING_MAX", "DMI_OEM_STRING", "DMI_EXACT_MATCH")
    }
    for index, pointer in enumerate(shell.prog["dmi_ident"]):
        if index not in names:
            continue
        value = out.got(lambda p=pointer: printable(c_string(p)) if p else None, names[index])  # type: ignore[misc]
        if value is not None:
            out.row(f"{names[index]:>25}: {value}", name=names[index], value=value)


def _config(shell: Shell, out: Out) -> None:
    from drgn.helpers.linux.kconfig import get_kconfig

    from oopsight.shell import CommandError

    try:
        found = get_kconfig(shell.prog)
    except readable_errors():
        raise CommandError(
            "the kernel does not carry its configuration (CONFIG_IKCONFIG is off)"
        ) from None
    for name, value in sorted(found.items()):
        out.row(f"{name}={value}", name=name, value=value)


def _calls(shell: Shell, word: str | None, out: Out) -> None:
    out.line("NUM  SYSTEM CALL                FILE AND LINE NUMBER")
    table = shell.prog["sys_call_table"]
    length = table.type_.length or _MOST_CALLS
    wanted = None
    if word is not None and (word.isdecimal() or word.startswith("0x")):
        wanted = int(word, 0)
    nothing = shell.names.address_of("__x64_sys_ni_syscall") or shell.names.address_of(
        "sys_ni_syscall"
    )  # one fallback
    for number in range(min(int(length), _MOST_CALLS)):
        if wanted is not None and number != wanted:
            continue
        entry = out.got(lambda n=number: int(table[n].value_()), f"entry {number}")  # type: ignore[misc]
        if isinstance(entry, Gap):
            out.line(f"{number:3}  {entry}")
            continue
        name = shell.names.text(entry)
        if word is not None and wanted is None and word not in name:
            continue
        lines = shell.names.source(entry)
        source = str(lines[-1]) if lines else ""
        if entry == nothing:
            source = ""
        elif not lines:
            owner = shell.names.module_at(entry)
            source = f"[{owner.name}]" if owner else ""
        out.row(
            f"{number:3}  {name:<26} {source}".rstrip(),
            number=number,
            name=name,
            address=Address(entry),
            source=source or None,
        )


def drgn_code(shell: Shell, args: Args) -> str:
    """What the first lines of a crash report are made of."""
    del shell
    if args.has("-t"):
        return "print(tainted(prog))"
    if args.has("-c"):
        word = args.value("-c") or next(iter(args.rest), "")
        each = f"[{word}]" if word.isdecimal() else 'range(len(prog["sys_call_table"]))'
        return f"""
for number in {each}:
    address = prog["sys_call_table"][number].value_()
    print(number, hex(address), prog.symbol(address).name)"""
    return """
name = prog["init_uts_ns"].name
print(name.nodename.string_().decode())
print(name.release.string_().decode())
print(name.version.string_().decode())
print(*loadavg(prog))
print(uptime_pretty(prog))
print(panic_message(prog))"""
