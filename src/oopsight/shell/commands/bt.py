"""Display a kernel stack backtrace.

Without arguments the current task's. Each line is a call: where on the stack its return address
lies, the function, and that address. Where an exception interrupted the kernel, the instruction
it hit and the registers it saved stand between the calls. In a dump made by kdump the calls of the
panic itself are found below the frame whose registers the dump has.

Examples
The stack of the task that crashed, with source lines:

    crash> bt -l

All CPUs, those that the panic stopped too:

    crash> bt -a

Two tasks by pid, with the memory of each frame, named where it can be:

    crash> bt -F 1 143

Text addresses left on the stack, true calls or not, where unwinding fails:

    crash> bt -t 143
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.code import for_tasks
from oopsight.shell.numbers import cpus, hexadecimal
from oopsight.shell.output import gap_from, readable_errors
from oopsight.shell.registers import KEYS, WORDS, block, frame_registers, saved_registers
from oopsight.shell.show import header
from oopsight.shell.stack import (
    Call,
    read_words,
    stack_bounds,
    stack_change,
    stack_size,
    unwind,
    unwind_from,
)
from oopsight.shell.tasks import cpu_of, cpus_of, current_tasks, pid_of

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = (
    "bt [-a|-A|-c cpus|-g|-r|-t|-T|-l|-e|-E|-f|-F|-v|-p|-o|-O] [-R ref] [-s [-x|-d]]\n"
    "   [-I ip] [-S sp] [-n idle] [pid | task] ..."
)
OPTIONS = {
    "-a": "the task that each CPU was running",
    "-A": "as -a",
    "-c CPUS": "the tasks that these CPUs were running (0,2-3 or all)",
    "-n WHICH": "'idle': leave out the frames of idle tasks",
    "-p": "the task that crashed",
    "-g": "all threads of the task's process",
    "-r": "the stack's memory as it is",
    "-t": "all text symbols from the last known frame to the top of the stack",
    "-T": "all text symbols of the whole stack",
    "-l": "source file and line of each call, inlined calls too",
    "-e": "search the stack for saved registers of exceptions",
    "-E": "search the IRQ and exception stacks of all CPUs for them",
    "-f": "the memory of each frame",
    "-F": "as -f with names in place of addresses; twice: both",
    "-v": "check all tasks' stacks for signs of an overflow",
    "-o": "as -t: addresses that were left on the stack",
    "-O": "as -o",
    "-R REF": "only stacks that call this function or contain this address",
    "-s": "symbols with offset",
    "-x": "offsets of -s in hexadecimal",
    "-d": "offsets of -s in decimal",
    "-I IP": "begin at this text address",
    "-S SP": "begin at this stack address",
}
DRGN = ("-a", "-A", "-c", "-p", "-g", "-l", "-s")
_STACK_END_MAGIC = 0x57AC6E9D  # include/uapi/linux/magic.h


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show the stacks of the chosen tasks."""
    if args.has("-v"):
        for task in shell.tasks():
            with out.item(f"stack of task {task.value_():x}"):
                _check(shell, task, out)
        return
    if args.has("-E"):
        _search_cpu_stacks(shell, args, out)
        return
    first = True
    for task in _chosen(shell, args, out):
        if not first and not args.has("-R"):
            out.line()
        first = False
        show_task(shell, task, args, out)


def _chosen(shell: Shell, args: Args, out: Out) -> Iterator[Any]:
    if args.has("-a", "-A", "-c"):
        running = current_tasks(shell.prog)
        wanted = cpus(args.value("-c") or "a", cpus_of(shell.prog))
        for cpu in wanted:
            if cpu in running:
                yield running[cpu]
            else:
                out.line(f"CPU {cpu}: what it ran cannot be read")
    elif args.has("-p"):
        yield shell.panic_task()
    elif args.has("-g"):
        for word in args.rest or [""]:
            task = shell.find_task(word) if word else shell.task
            group = int(task.tgid.value_())
            members = [t for t in shell.tasks() if _group(t) == group]
            yield from sorted(members, key=lambda t: (pid_of(t) != group, pid_of(t)))
    elif args.rest:
        for word in args.rest:
            if word == "0":
                yield from (t for t in shell.tasks() if _group(t) == 0)
            else:
                yield shell.find_task(word)
    else:
        yield shell.task


def _group(task: Any) -> int | None:
    try:
        return int(task.tgid.value_())
    except readable_errors():
        return None


def calls_of(shell: Shell, task: Any, args: Args) -> list[Call]:
    """The calls, from where the options say."""
    shell.panic_task()
    if not args.has("-I", "-S"):
        return unwind(shell, task)
    known = unwind(shell, task)
    first = known[0] if known else None
    ip, sp = args.value("-I"), args.value("-S")
    pc = shell.address(ip) if ip else (first.pc if first else 0)
    at = hexadecimal(sp) if sp else (first.sp if first else 0)
    return unwind_from(shell, pc, at or 0)


def show_task(shell: Shell, task: Any, args: Args, out: Out) -> None:
    """One task's stack."""
    reference = args.value("-R")
    if reference is not None:
        try:
            if not _refers(shell, calls_of(shell, task, args), reference):
                return
        except readable_errors():
            return
    data = header(out, task)
    if args.has("-n") and data["pid"] == 0:
        return
    if args.has("-r"):
        _raw(shell, task, out)
        return
    if args.has("-t", "-T", "-o", "-O"):
        _text_symbols(shell, task, args, out)
        return
    if args.has("-e"):
        start, end = stack_bounds(shell, task)
        _exception_frames(shell, start, end, out)
        return
    try:
        calls = calls_of(shell, task, args)
    except readable_errors() as error:
        gap = out.count(gap_from(error, "stack"))
        out.line(f"    {gap}: the stack cannot be unwound: {gap.why}")
        out.row(None, **data, frames=gap)
        return
    if not calls:
        out.line("    (no stack)")
    out.row(None, **data, frames=_show_calls(shell, calls, args, out))


def _refers(shell: Shell, calls: list[Call], reference: str) -> bool:
    address = hexadecimal(reference)
    for call in calls:
        named = shell.names.of(call.lookup)
        if call.pc == address or (named and reference in (named.name, named.with_offset)):
            return True
    return False


def name_of(shell: Shell, call: Call, args: Args) -> str:
    """The function of a call as the options want it."""
    named = shell.names.of(call.lookup)
    if named is None:
        return f"{call.pc:x}" if not call.pc else "(unknown)"
    name = named.name
    if args.has("-s"):
        offset = call.pc - named.address
        hexa = args.has("-x") or (shell.settings.radix == 16 and not args.has("-d"))
        name += (f"+{offset:#x}" if hexa else f"+{offset}") if offset else ""
    return name


class _Texts:
    """What is said of a program counter, made once: most stacks go through the same few."""

    def __init__(self, shell: Shell, args: Args) -> None:
        self.shell = shell
        self.args = args
        self.size = stack_size(shell)
        self.made: dict[tuple[int, bool], str] = {}

    def of(self, call: Call) -> str:
        """Name, address and module of a call."""
        key = call.pc, call.interrupted
        if key not in self.made:
            named = self.shell.names.of(call.lookup)
            module = f" [{named.module}]" if named and named.module else ""
            name = name_of(self.shell, call, self.args)
            self.made[key] = f"{name} at {call.pc:x}{module}"
        return self.made[key]


def _texts(shell: Shell, args: Args) -> _Texts:
    key = ("bt-texts", args.has("-s"), args.has("-x"), args.has("-d"), shell.settings.radix)
    if key not in shell.cache:
        shell.cache[key] = _Texts(shell, args)
    found: _Texts = shell.cache[key]
    return found


def _show_calls(shell: Shell, calls: list[Call], args: Args, out: Out) -> list[dict[str, Any]]:
    frames = []
    number = 0
    texts = _texts(shell, args)
    more = args.has("-l", "-f", "-F")
    inner: Call | None = None
    for index, call in enumerate(calls):
        if inner is not None and not inner.sp <= call.sp < inner.sp + 2 * texts.size:
            entry = shell.names.of(inner.lookup)
            change = stack_change(inner, call, entry.name if entry else "", texts.size)
            if change:
                out.line(f"--- <{change}> ---")
        frame: dict[str, Any] = {}
        if out.keep_rows:
            frames.append(frame := _frame(shell, call))
        if call.user:
            frame["registers"] = _registers(shell, call, inner, out)
            break
        if call.interrupted and (index or _saved_behind(shell, call)):
            where = shell.names.show(call.pc)
            rip = where or f"unknown or invalid address {call.pc:x}"
            out.line(f"    [exception RIP: {rip}]")
            frame["registers"] = _registers(shell, call, inner, out)
        else:
            at = call.sp if call.interrupted or index == 0 else call.sp - 8
            frame["number"] = number
            out.line(f"{f'#{number}':>3} [{at:x}] {texts.of(call)}")
            number += 1
        if more and args.has("-l"):
            frame["source"] = _lines(shell, call, out)
        if more and args.has("-f", "-F"):
            _frame_memory(shell, call, calls, index, args, out)
        inner = call
    return frames


def _frame(shell: Shell, call: Call) -> dict[str, Any]:
    named = shell.names.of(call.lookup)
    return {
        "pc": Address(call.pc),
        "sp": Address(call.sp),
        "function": named.name if named else None,
        "offset": named.offset if named else None,
        "module": named.module if named else None,
        "exception": call.interrupted,
    }


def _saved_behind(shell: Shell, call: Call) -> bool:
    return bool(saved_registers(shell, call, None))


def _registers(shell: Shell, call: Call, inner: Call | None, out: Out) -> dict[str, Address]:
    saved = saved_registers(shell, call, inner)
    registers = saved or frame_registers(call)
    out.lines(block(registers, original=bool(saved)))
    if not out.keep_rows:
        return {}
    return {name: Address(value) for name, value in registers.items()}


def _lines(shell: Shell, call: Call, out: Out) -> list[str]:
    found = shell.names.source(call.lookup)
    for line in found:
        inlined = f" (inlined {line.function})" if line is not found[-1] else ""
        out.line(f"    {line}{inlined}")
    return [str(line) for line in found]


def _frame_memory(
    shell: Shell, call: Call, calls: list[Call], index: int, args: Args, out: Out
) -> None:
    """The stack from this call's words up to its caller's return address."""
    outer = next((c for c in calls[index + 1 :] if not c.user), None)
    if outer is None or not call.sp < outer.sp <= call.sp + stack_size(shell):
        return
    start = call.sp if index == 0 or call.interrupted else call.sp - 8
    end = outer.sp - (0 if outer.interrupted else 8)
    words = read_words(shell, start, max(0, min(end + 8 - start, 8192)) // 8)
    _words(shell, start, words, args.count("-F"), out)


def _words(shell: Shell, start: int, words: list[int | None], symbolic: int, out: Out) -> None:
    from oopsight.shell.symbolic import symbolic_word

    for at in range(0, len(words), 2):
        parts = []
        for word in words[at : at + 2]:
            if word is None:
                parts.append("<unreadable>    ")
                out.count(gap_from(LookupError("page not in the dump"), "stack"))
            elif symbolic:
                parts.append(f"{symbolic_word(shell, word, both=symbolic > 1):<16}")
            else:
                parts.append(f"{word:016x}")
        out.line(f"    {start + 8 * at:x}: {' '.join(parts)} ".rstrip())


def _raw(shell: Shell, task: Any, out: Out) -> None:
    start, end = stack_bounds(shell, task)
    words = read_words(shell, start, (end - start) // 8)
    for at in range(0, len(words), 2):
        pair = [f"{w:016x}" if w is not None else "<unreadable>    " for w in words[at : at + 2]]
        out.line(f"{start + 8 * at:x}:  {' '.join(pair)} ")


def _text_symbols(shell: Shell, task: Any, args: Args, out: Out) -> None:
    start, end = stack_bounds(shell, task)
    first: Call | None = None
    if not args.has("-T"):
        try:
            calls = unwind(shell, task)
            first = calls[0] if calls else None
        except readable_errors():
            first = None
    if first is not None and start <= first.sp < end:
        start = first.sp & ~7
        out.line(f"              START: {name_of(shell, first, args)} at {first.pc:x}")
    for index, word in enumerate(read_words(shell, start, (end - start) // 8)):
        if word is None or not word >> 63 or not shell.names.is_text(word):
            continue
        named = shell.names.of(word)
        if named is None:
            continue
        at = start + 8 * index
        name = name_of(shell, Call(word, at, True), args)
        module = f" [{named.module}]" if named.module else ""
        out.row(
            f"  [{at:x}] {name} at {word:x}{module}",
            address=Address(at),
            function=named.name,
            pc=Address(word),
        )


def _exception_frames(shell: Shell, start: int, end: int, out: Out) -> None:
    """Whatever looks like a struct pt_regs: code and stack selectors, flags, addresses."""
    words = read_words(shell, start, (end - start) // 8)
    for index in range(len(words) - 20):
        cs, flags, sp, ss, ip = (words[index + n] for n in (17, 18, 19, 20, 16))
        if cs is None or flags is None or sp is None or ss is None or ip is None:
            continue
        # Reserved bits of RFLAGS: bit 1 is always 1; 3, 5, 15 and above 21 are 0.
        if flags & 0xFFFFFFFF_FFC0802A != 2:
            continue
        kernel = cs == 0x10 and ss in (0x18, 0) and sp >> 63 and shell.names.is_text(ip)
        user = cs in (0x33, 0x23) and ss == 0x2B and not sp >> 63 and not ip >> 63
        if not kernel and not user:
            continue
        at = start + 8 * index
        out.line(f"\n  {'KERNEL' if kernel else 'USER'}-MODE EXCEPTION FRAME AT: {at:x}")
        if kernel:
            out.line(f"    [exception RIP: {shell.names.show(ip) or 'unknown or invalid address'}]")
        here = words[index : index + WORDS]
        registers = {k: w for k, w in zip(KEYS, here, strict=True) if w is not None}
        out.lines(block(registers, original=True))
        out.row(None, address=Address(at), mode="kernel" if kernel else "user", pc=Address(ip))


def _search_cpu_stacks(shell: Shell, args: Args, out: Out) -> None:
    from drgn.helpers.linux.percpu import per_cpu

    for cpu in cpus(args.value("-c") or "a", cpus_of(shell.prog)):
        for title, symbol, size in (
            ("IRQ STACK", "hardirq_stack_ptr", 16384),
            ("NMI STACK", "cea_exception_stacks", 0),
        ):
            out.line(f"CPU {cpu} {title}:")
            with out.item(f"{title} of CPU {cpu}"):
                if size:
                    top = irq_stack_top(shell.prog, cpu)
                    start, end = top + 16 - size & ~0xFFF, top
                else:
                    stacks = per_cpu(shell.prog[symbol], cpu).member_("NMI_stack")
                    start, end = stacks.address_, stacks.address_ + len(stacks)
                _exception_frames(shell, start, end, out)
            out.line()


def irq_stack_top(prog: Any, cpu: int) -> int:
    """Where a CPU's interrupt stack begins, its last word's address."""
    from drgn.helpers.linux.percpu import per_cpu

    try:
        return int(per_cpu(prog["hardirq_stack_ptr"], cpu).value_())
    except LookupError:
        # in struct pcpu_hot from Linux 6.2 (commit d7b6d709a76a) to 6.14
        return int(per_cpu(prog["pcpu_hot"], cpu).hardirq_stack_ptr.value_())


def _check(shell: Shell, task: Any, out: Out) -> None:
    start, _ = stack_bounds(shell, task)
    if not start:
        return  # it has exited, and its stack is given back
    problems = []
    if shell.prog.read_u64(start) != _STACK_END_MAGIC:
        problems.append(f"possible stack overflow: {start:x}: no STACK_END_MAGIC")
    if cpu_of(task) not in cpus_of(shell.prog):
        problems.append(f"possible stack overflow: thread_info.cpu: {cpu_of(task)}")
    if problems:
        header(out, task)
        for problem in problems:
            out.row(f"  {problem}", pid=pid_of(task), problem=problem)


def drgn_code(shell: Shell, args: Args) -> str:
    """Drgn's own stack trace, which has inlined calls and source lines too."""
    if args.has("-a", "-A", "-c"):
        wanted = cpus(args.value("-c") or "a", cpus_of(shell.prog))
        return f"""
for cpu in {wanted}:
    print(prog.stack_trace(cpu_curr(prog, cpu)))"""
    if args.has("-g"):
        body = """
for thread in for_each_task_in_group(task, include_self=True):
    print(prog.stack_trace(thread))"""
        return for_tasks(shell, args.rest, body)
    if args.has("-p"):
        return "print(prog.stack_trace(panic_task(prog)))"
    return for_tasks(shell, args.rest, "print(prog.stack_trace(task))")
