"""Display interrupts: handlers, counts, affinity, soft interrupts, the descriptor table.

Examples
    crash> irq -u
    crash> irq 4
    crash> irq -s
    crash> irq -a
    crash> irq -b
    crash> irq -d
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.numbers import cpus
from oopsight.shell.output import Gap, readable_errors
from oopsight.shell.tasks import cpus_of
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "irq [[index ...] | -u ] | -d | -b | -a | -s [-c cpu]"
OPTIONS = {
    "-u": "only interrupts that are in use",
    "-d": "the interrupt descriptor table",
    "-b": "soft interrupts",
    "-a": "on which CPUs each may be served",
    "-s": "how often each was served",
    "-c CPUS": "with -s: on these CPUs only",
}
DRGN = ("-u", "-s", "-c", "-a")
MOST_ACTIONS = 1000


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show the table asked for."""
    from oopsight.shell import CommandError

    if args.has("-d"):
        _descriptors(shell, out)
    elif args.has("-b"):
        _soft(shell, out)
    elif args.has("-a"):
        _affinity(shell, out)
    elif args.has("-s"):
        _counts(shell, args, out)
    else:
        for word in args.rest:
            if not word.isdecimal():
                raise CommandError(f"{word}: no number of an interrupt")
        _handlers(shell, args, out)


def _descs(shell: Shell, out: Out) -> Iterator[tuple[int, Any]]:
    from drgn.helpers.linux.irq import for_each_irq_desc

    return out.walk(for_each_irq_desc(shell.prog), "interrupts", 1 << 20)


def _actions(desc: Any) -> list[Any]:
    """``struct irqaction *`` of an interrupt, in order."""
    found: list[Any] = []
    action = desc.action.read_()
    while action and len(found) < MOST_ACTIONS:
        found.append(action)
        action = action.next.read_()
    return found


def _name(action: Any) -> str:
    return printable(c_string(action.name)) if action.name else ""


def _handlers(shell: Shell, args: Args, out: Out) -> None:
    from drgn.helpers.linux.irq import irq_get_nr_irqs

    present = dict(_descs(shell, out))
    wanted: list[int] = [int(word) for word in args.rest]
    if not wanted:
        limit = out.got(lambda: int(irq_get_nr_irqs(shell.prog)), "number of interrupts")
        last = max(present, default=-1) + 1 if isinstance(limit, Gap) else limit
        wanted = sorted(present) if args.has("-u") else list(range(min(last, 1 << 20)))
    out.line(" IRQ   IRQ_DESC/_DATA      IRQACTION      NAME")
    for number in wanted:
        desc = present.get(number)
        if desc is None:
            out.row(f"{number:^5}     (unused)          (unused)      ", irq=number, desc=None)
            continue
        with out.item(f"interrupt {number}"):
            actions = _actions(desc)
            first = f"{number:^5} {desc.value_():016x}  "
            if not actions:
                out.row(
                    f"{first}    (unused)      ",
                    irq=number,
                    desc=Address(desc.value_()),
                    actions=[],
                )  # one row
                continue
            names = []
            for index, action in enumerate(actions):
                name = out.got(lambda a=action: _name(a), "name")  # type: ignore[misc]
                names.append({"action": Address(action.value_()), "name": name})
                out.line(
                    f'{first if not index else " " * len(first)}{action.value_():016x}  "{name}"'
                )
            out.row(None, irq=number, desc=Address(desc.value_()), actions=names)


def _descriptors(shell: Shell, out: Out) -> None:
    from drgn.helpers.linux.irq import gate_desc_func

    for number, gate in enumerate(shell.prog["idt_table"]):
        with out.item(f"vector {number}"):
            entry = int(gate_desc_func(gate).value_())
            named = shell.names.of(entry) if entry else None
            text = named.with_offset if named else f"{entry:x}"
            out.row(
                f"{f'[{number}]':>5} {text}", vector=number, function=text, address=Address(entry)
            )


def _soft(shell: Shell, out: Out) -> None:
    out.line("SOFTIRQ_VEC      ACTION     ")
    for number, vector in enumerate(shell.prog["softirq_vec"]):
        with out.item(f"soft interrupt {number}"):
            action = int(vector.action.value_())
            if action:
                name = shell.names.text(action)
                out.row(
                    f"    [{number}]     {action:016x}  <{name}>",
                    vector=number,
                    action=Address(action),
                    name=name,
                )  # one row


def _affinity(shell: Shell, out: Out) -> None:
    from drgn.helpers.linux.cpumask import cpumask_to_cpulist
    from drgn.helpers.linux.irq import irq_desc_affinity_mask

    out.line("IRQ NAME                 AFFINITY")
    for number, desc in _descs(shell, out):
        with out.item(f"interrupt {number}"):
            actions = _actions(desc)
            if not actions:
                continue
            where = cpumask_to_cpulist(irq_desc_affinity_mask(desc))
            names = ",".join(_name(action) for action in actions)
            out.row(f"{number:3} {names:<20} {where}", irq=number, name=names, affinity=where)


def _counts(shell: Shell, args: Args, out: Out) -> None:
    from drgn.helpers.linux.irq import irq_desc_chip_name, irq_desc_kstat_cpu

    chosen = cpus(args.value("-c") or "a", cpus_of(shell.prog))
    out.line("     " + "".join(f"{f'CPU{cpu}':>10} " for cpu in chosen))
    for number, desc in _descs(shell, out):
        with out.item(f"interrupt {number}"):
            actions = _actions(desc)
            if not actions:
                continue
            counts = [int(irq_desc_kstat_cpu(desc, cpu)) for cpu in chosen]
            chip = printable(irq_desc_chip_name(desc) or "None")
            flow = ""
            try:
                if desc.member_("name"):
                    flow = f"-{printable(c_string(desc.member_('name')))}"
            except readable_errors():
                pass
            names = ",".join(_name(action) for action in actions)
            columns = " ".join(f"{count:10}" for count in counts)
            out.row(
                f"{number:3}: {columns}  {chip + flow:<15}  {names}",
                irq=number,
                counts=dict(zip(chosen, counts, strict=True)),
                chip=chip,
                name=names,
            )


def drgn_code(shell: Shell, args: Args) -> str:
    """All interrupt descriptors; counts or CPUs of each."""
    wanted = [int(word) for word in args.rest if word.isdecimal()]
    only = f"    if irq not in {wanted}:\n        continue\n" if wanted else ""
    if args.has("-u", "-s"):
        only += "    if not desc.action:\n        continue\n"
    said = "irq, hex(desc), [name.decode() for name in irq_desc_action_names(desc)]"
    if args.has("-s"):
        each = cpus(args.value("-c") or "a", cpus_of(shell.prog))
        said = f"irq, [irq_desc_kstat_cpu(desc, cpu) for cpu in {each}]"
    elif args.has("-a"):
        said = "irq, list(cpumask_to_cpulist(irq_desc_affinity_mask(desc)))"
    return f"for irq, desc in for_each_irq_desc(prog):\n{only}    print({said})"
