"""Display timers in the order in which they expire, and high-resolution timers.

Examples
    crash> timer
    crash> timer -C 0
    crash> timer -r
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.numbers import cpus
from oopsight.shell.output import readable_errors
from oopsight.shell.tasks import cpus_of

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "timer [-r][-C cpu]"
OPTIONS = {"-r": "high-resolution timers", "-C CPUS": "of these CPUs only"}
DRGN = ("-r",)
MOST = 1_000_000
_MASK = (1 << 64) - 1


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show timers of each CPU."""
    chosen = cpus(args.value("-C") or "a", cpus_of(shell.prog))
    if args.has("-r"):
        for cpu in chosen:
            with out.item(f"high-resolution timers of CPU {cpu}"):
                _high_resolution(shell, cpu, out)
        return
    jiffies = int(shell.prog["jiffies"].value_())
    out.line(f"{'JIFFIES':<{len(str(jiffies))}}\n{jiffies}\n")
    for cpu in chosen:
        with out.item(f"timers of CPU {cpu}"):
            _bases(shell, cpu, jiffies, out)
        out.line()


def function_text(shell: Shell, function: int) -> str:
    """A callback's address and name; of a module that is gone, that."""
    named = shell.names.show(function)
    if named is not None:
        return f"{function:016x}  <{named}>"
    modules = shell.names.modules
    if modules is not None and modules.in_area(function) and modules.owner(function) is None:
        return f"{function:016x}  <no module is loaded there>"
    return f"{function:016x}"


def _bases(shell: Shell, cpu: int, jiffies: int, out: Out) -> None:
    from drgn.helpers.linux.percpu import per_cpu
    from drgn.helpers.linux.timer import timer_base_for_each, timer_base_names

    names = timer_base_names(shell.prog)
    for index, base in enumerate(per_cpu(shell.prog["timer_bases"], cpu)):
        name = names[index] if index < len(names) else str(index)
        out.line(f"TIMER_BASES[{cpu}][{name}]: {base.address_:x}")
        rows = []
        for timer in out.walk(timer_base_for_each(base.address_of_()), "timer wheel", MOST):
            with out.item(f"timer {timer.value_():x}"):
                expires = int(timer.expires.value_())
                rows.append((expires, timer.value_(), int(timer.function.value_())))
        if not rows:
            out.line("  (none)")
            continue
        rows.sort()
        tte = [((row[0] - jiffies + (1 << 63)) & _MASK) - (1 << 63) for row in rows]
        wide = max(len(str(row[0])) for row in rows)
        left = max(3, *(len(str(value)) + 1 for value in tte))
        out.line(f"  {'EXPIRES':^{wide}}  {'TTE':^{left}}  {'TIMER_LIST':^16}     FUNCTION")
        for (expires, address, function), to_expire in zip(rows, tte, strict=True):
            out.row(
                f"  {expires:>{wide}}  {to_expire:>{left}}  {address:016x}  "
                f"{function_text(shell, function)}",
                cpu=cpu,
                base=name,
                expires=expires,
                jiffies_to_expire=to_expire,
                timer=Address(address),
                function=Address(function),
                name=shell.names.show(function),
            )


def _high_resolution(shell: Shell, cpu: int, out: Out) -> None:
    from drgn.helpers.linux.percpu import per_cpu
    from drgn.helpers.linux.timer import hrtimer_clock_base_for_each

    base = per_cpu(shell.prog["hrtimer_bases"], cpu)
    out.line(f"CPU: {cpu}  HRTIMER_CPU_BASE: {base.address_:x}")
    for index, clock in enumerate(base.clock_base):
        title = _getter(shell, clock)
        out.line(f"  CLOCK: {index}  HRTIMER_CLOCK_BASE: {clock.address_:x}{title}")
        rows = []
        for timer in out.walk(hrtimer_clock_base_for_each(clock.address_of_()), "timers", MOST):
            with out.item(f"timer {timer.value_():x}"):
                soft = _time(timer.member_("_softexpires"))
                hard = _time(timer.node.expires)
                rows.append((soft, hard, timer.value_(), int(timer.function.value_())))
        if not rows:
            out.line("  (empty)\n")
            continue
        current = _current(shell, clock)
        _hrtimer_rows(shell, cpu, index, rows, current, out)
        out.line()


def _getter(shell: Shell, clock: Any) -> str:
    """The function that reads the clock; kernels from 6.18 on do not keep it."""
    try:
        return f"  [{shell.names.text(int(clock.get_time.value_()))}]"
    except readable_errors():
        return ""


def _time(value: Any) -> int:
    """A ktime_t; it was a union before Linux 4.10 (commit 2456e8551739)."""
    try:
        return int(value.value_())
    except TypeError:
        return int(value.tv64.value_())


def _current(shell: Shell, clock: Any) -> int:
    """The clock's time in ns, as of the last tick."""
    from drgn.helpers.linux.timekeeping import ktime_get_coarse_ns

    now = int(ktime_get_coarse_ns(shell.prog))
    try:
        return now + _time(clock.offset)
    except AttributeError:
        return now


def _hrtimer_rows(
    shell: Shell,
    cpu: int,
    clock: int,
    rows: list[tuple[int, int, int, int]],
    current: int,
    out: Out,
) -> None:
    wide = max(len("SOFTEXPIRES"), *(len(str(row[1])) for row in rows))
    out.line(
        f"  {'CURRENT':^{max(10, len(str(current)))}}\n  {current:>{wide if wide > 11 else 10}}"
    )
    left = max(len(str(row[0] - current)) for row in rows) + 1
    hard = max(len(str(row[1])) for row in rows)
    out.line(
        f"  {'SOFTEXPIRES':^{wide}}  {'EXPIRES':^{hard}}  {'TTE':^{left}}  {'HRTIMER':^16}  "
        f"{'FUNCTION':^16}  "
    )
    for soft, expires, address, function in rows:
        out.row(
            f"  {soft:>{wide}}  {expires:>{hard}}  {soft - current:>{left}}  {address:016x}  "
            f"{function_text(shell, function)}",
            cpu=cpu,
            clock=clock,
            soft_expires_ns=soft,
            expires_ns=expires,
            timer=Address(address),
            function=Address(function),
            name=shell.names.show(function),
        )


def drgn_code(shell: Shell, args: Args) -> str:
    """The bases of each CPU."""
    del shell
    if args.has("-r"):
        return """
for cpu in for_each_present_cpu(prog):
    for index, base in enumerate(per_cpu(prog["hrtimer_bases"], cpu).clock_base):
        for timer in hrtimer_clock_base_for_each(base.address_of_()):
            print(cpu, index, timer.node.expires.value_(), hex(timer))"""
    return """
for cpu in for_each_present_cpu(prog):
    for base in per_cpu(prog["timer_bases"], cpu):
        for timer in timer_base_for_each(base.address_of_()):
            print(cpu, timer.expires.value_(), hex(timer))"""
