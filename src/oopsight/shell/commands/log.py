"""Dump the kernel log in chronological order.

Text from the dump is shown with control characters escaped.

Examples
The log with the wall clock in place of seconds since boot:

    crash> log -T

With each record's level, and with the task or CPU that wrote it:

    crash> log -m
    crash> log -c

The last lines before the crash:

    crash> log | tail -40
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from oopsight.shell.output import Gap, readable_errors
from oopsight.text import printable

if TYPE_CHECKING:
    from oopsight.kernel.printk_ring import LogRecord
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "log [-TtdmascR]"
OPTIONS = {
    "-T": "the wall clock in front of each line (it drifts from the log's clock)",
    "-t": "without time",
    "-d": "each record's key=value dictionary",
    "-m": "each record's level",
    "-a": "audit records that were not yet passed on",
    "-s": "NMI-safe buffers of each CPU, where the kernel has them (before 5.15)",
    "-c": "the task or CPU that wrote each record",
    "-R": "without the filtering of a program's own; all that the buffer has",
}
DRGN = ("-t",)


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show the records."""
    if args.has("-a"):
        _audit(shell, out)
        return
    if args.has("-s"):
        _safe_buffers(shell, out)
        return
    from oopsight.evidence.crash.log import kernel_log

    boot = _boot_time(shell) if args.has("-T") else None
    log = kernel_log(shell.session)
    for record in out.walk(log.records, "log"):
        _record(record, args, out, boot)
    if log.lost:
        gap = out.count(Gap("log", None, f"{log.lost} of its records are not in the dump"))
        out.line(gap.line)


def _boot_time(shell: Shell) -> int | None:
    from drgn.helpers.linux.timekeeping import ktime_get_boottime_seconds, ktime_get_real_seconds

    try:
        return int(ktime_get_real_seconds(shell.prog) - ktime_get_boottime_seconds(shell.prog))
    except readable_errors():
        return None


def _record(record: LogRecord, args: Args, out: Out, boot: int | None) -> None:
    seconds = record.nanoseconds / 1e9
    prefix = f"[{record.nanoseconds // 10**9:5}.{record.nanoseconds // 1000 % 10**6:06}] "
    if args.has("-T"):
        moment = (
            "unknown"
            if boot is None
            else time.strftime("%a %b %e %H:%M:%S UTC %Y", time.gmtime(boot + int(seconds)))
        )
        prefix = f"[{moment}] "
    elif args.has("-t"):
        prefix = ""
    if args.has("-c"):
        prefix += f"[{record.caller:>6}] "
    if args.has("-m"):
        prefix += f"<{record.level}>"
    lines = [_line(line) for line in record.text.split(b"\n")]
    pad = " " * len(prefix)
    for number, line in enumerate(lines):
        out.line(f"{pad if number else prefix}{line}")
    context = {key: printable(value) for key, value in record.context.items()}
    if args.has("-d"):
        for key, value in context.items():
            out.line(f"{key}={value}")
    out.row(
        None,
        seconds=round(seconds, 6),
        level=record.level,
        facility=record.facility,
        caller=record.caller or None,
        text="\n".join(lines),
        context=context,
    )


def _line(text: bytes) -> str:
    """Safe to show; a tab is kept, it moves nothing but the cursor."""
    return "\t".join(printable(part) for part in text.split(b"\t"))


def _audit(shell: Shell, out: Out) -> None:
    found = 0
    for queue in ("audit_queue", "audit_retry_queue", "audit_hold_queue"):
        with out.item(queue):
            head = shell.prog[queue].address_of_()
            skb = head.next.read_()
            for _ in range(min(int(head.qlen.value_()), 100_000)):
                length = int(skb.len.value_())
                data = shell.session.read(int(skb.data.value_()), min(length, 8192))
                kind = int.from_bytes(data[4:6], "little")
                text = printable(data[16:].rstrip(b"\0"))
                out.row(f"type={kind} {text}", type=kind, text=text)
                found += 1
                skb = skb.next.read_()
    if not found:
        out.line("log: kernel audit log is empty")


def _safe_buffers(shell: Shell, out: Out) -> None:
    from drgn.helpers.linux.cpumask import for_each_possible_cpu
    from drgn.helpers.linux.percpu import per_cpu

    for name in ("nmi_print_seq", "safe_print_seq"):
        try:
            variable = shell.prog[name]
        except KeyError:
            continue
        for cpu in for_each_possible_cpu(shell.prog):
            with out.item(f"{name} of CPU {cpu}"):
                buffer = per_cpu(variable, cpu)
                length = int(buffer.len.counter.value_())
                out.line(
                    f"CPU: {cpu}  {name.split('_', maxsplit=1)[0].upper()} buffer: {length} bytes"
                )
                if length:
                    out.lines(printable(buffer.buffer.to_bytes_()[:length]))


def drgn_code(shell: Shell, args: Args) -> str:
    """The records of the ring buffer."""
    del shell
    if args.has("-t"):
        return """
for record in get_printk_records(prog):
    print(record.text.decode())"""
    return "print(get_dmesg(prog).decode())"
