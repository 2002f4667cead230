"""Display data specific to the machine: memory layout, stacks, CPUs.

Examples
    crash> mach
    crash> mach -m
    crash> mach -c
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.commands.bt import irq_stack_top
from oopsight.shell.output import Gap
from oopsight.shell.stack import stack_size
from oopsight.shell.tasks import cpus_of
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "mach [-m | -c [-x|-d]]"
OPTIONS = {
    "-m": "the memory map of the firmware",
    "-c": "the cpuinfo of each CPU",
    "-x": "numbers in hexadecimal",
    "-d": "numbers in decimal",
}
# include/asm/e820/types.h
_E820 = {1: "E820_RAM", 2: "E820_RESERVED", 3: "E820_ACPI", 4: "E820_NVS", 5: "E820_UNUSABLE",
         7: "E820_PMEM", 12: "E820_PRAM", 128: "E820_RESERVED_KERN"}  # fmt: skip
MOST_RANGES = 4096


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show the machine."""
    if args.has("-m"):
        _memory_map(shell, out)
    elif args.has("-c"):
        _cpus(shell, args, out)
    else:
        for title, value in _facts(shell, out):
            out.row(f"{title:>22}: {value}", name=title.strip().lower(), value=value)


def _memory_map(shell: Shell, out: Out) -> None:
    out.line("      PHYSICAL ADDRESS RANGE         TYPE")
    table = shell.prog["e820_table"]
    for index in range(min(int(table.nr_entries.value_()), MOST_RANGES)):
        with out.item(f"range {index}"):
            entry = table.entries[index]
            start, size = int(entry.addr.value_()), int(entry.size.value_())
            kind = int(entry.type.value_())
            name = _E820.get(kind, f"type {kind}")
            out.row(
                f"{start:016x} - {start + size:016x}  {name}",
                start=Address(start),
                end=Address(start + size),
                type=name,
            )


def _cpus(shell: Shell, args: Args, out: Out) -> None:
    from drgn.helpers.linux.percpu import per_cpu

    from oopsight.shell import structs

    for cpu in cpus_of(shell.prog):
        with out.item(f"CPU {cpu}"):
            out.line(f"CPU {cpu}:")
            structs.one(shell, per_cpu(shell.prog["cpu_info"], cpu), [], args, out)
            out.line()


def _facts(shell: Shell, out: Out) -> Iterator[tuple[str, Any]]:
    from oopsight.shell.numbers import amount
    from oopsight.shell.taskmemory import memory_pages

    prog = shell.prog
    cpus = cpus_of(prog)
    online = out.got(lambda: _online(prog), "online CPUs")
    stopped = (
        ""
        if isinstance(online, Gap) or online == len(cpus)
        else f" [OFFLINE: {len(cpus) - online}]"
    )  # one text
    yield (
        "MACHINE TYPE",
        out.got(lambda: printable(c_string(prog["init_uts_ns"].name.machine)), "machine"),
    )  # one fact
    yield "MEMORY SIZE", amount(memory_pages(shell) * 4096)
    yield "CPUS", f"{len(cpus)}{stopped}"
    yield (
        "PROCESSOR SPEED",
        out.got(lambda: f"{int(prog['cpu_khz'].value_()) // 1000} Mhz", "cpu_khz"),
    )
    yield "HZ", out.got(lambda: _hz(prog), "HZ")
    yield "PAGE SIZE", int(prog["PAGE_SIZE"].value_())
    for title, name in (
        ("KERNEL VIRTUAL BASE", "page_offset_base"),
        ("KERNEL VMALLOC BASE", "vmalloc_base"),
        ("KERNEL VMEMMAP BASE", "vmemmap_base"),
    ):
        yield title, out.got(functools.partial(_hex, prog, name), name)
    yield "KERNEL START MAP", "ffffffff80000000"
    from oopsight.evidence.modules.modules import Modules

    modules = shell.evidence.get(Modules)
    area = getattr(modules, "area", None)
    if area:
        yield "KERNEL MODULES BASE", f"{area[0]:x}"
    yield "KERNEL STACK SIZE", stack_size(shell)
    yield "IRQ STACK SIZE", 16384
    for cpu in cpus:
        yield (
            f"IRQ STACK OF CPU {cpu}",
            out.got(functools.partial(_irq_stack, prog, cpu), "IRQ stack"),
        )
    for stack in ("DF", "NMI", "DB", "MCE", "VC"):
        for cpu in cpus:
            where = functools.partial(_exception_stack, prog, stack, cpu)
            yield f"{stack} STACK OF CPU {cpu}", out.got(where, f"{stack} stack")


def _online(prog: Any) -> int:
    from drgn.helpers.linux.cpumask import for_each_online_cpu

    return len(list(for_each_online_cpu(prog)))


def _hz(prog: Any) -> int:
    # HZ is no variable; NSEC_PER_SEC / TICK_NSEC of the tick device is.
    return (
        round(10**9 / int(prog["tick_period"].value_()))
        if "tick_period" in prog
        else _hz_of_timer(prog)
    )  # one fallback


def _hz_of_timer(prog: Any) -> int:
    from drgn.helpers.linux.kconfig import get_kconfig

    try:
        return int(get_kconfig(prog)["CONFIG_HZ"])
    except (LookupError, KeyError, ValueError):
        pass
    try:
        return round(10**9 / int(prog["tick_nsec"].value_()))
    except (LookupError, KeyError):
        # kernel/time/ntp.c keeps it in a struct per clock since Linux 6.13
        return round(10**9 * (1 << 32) / (int(prog["tk_ntp_data"][0].tick_length.value_())))


def _irq_stack(prog: Any, cpu: int) -> str:
    # It points to the top's last word (arch/x86/kernel/irq_64.c).
    top = irq_stack_top(prog, cpu)
    return f"{top + 8 - 16384:x}" if top & 0xFFF == 0xFF8 else f"{top - 16384:x}"


def _exception_stack(prog: Any, name: str, cpu: int) -> str:
    from drgn.helpers.linux.percpu import per_cpu

    stacks = per_cpu(prog["cea_exception_stacks"], cpu)
    return f"{stacks.member_(f'{name}_stack').address_:x}"


def _hex(prog: Any, name: str) -> str:
    return f"{prog[name].value_():x}"


def drgn_code(shell: Shell, args: Args) -> str:
    """What drgn knows of the machine, and what the kernel measured."""
    del shell, args
    return """
print(prog.platform)
print(len(list(for_each_present_cpu(prog))))
print(prog["cpu_khz"].value_() // 1000)"""
