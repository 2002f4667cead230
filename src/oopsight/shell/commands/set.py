"""Set the current task, or a setting; without arguments show the current task.

Examples
The task that commands are about, from now on:

    crash> set 137
    crash> set -c 0
    crash> set -p

Settings; numbers in hexadecimal:

    crash> set -v
    crash> set radix 16
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.evidence.crash.standstill import Standstill
from oopsight.shell.show import task_data
from oopsight.shell.tasks import cpus_of, current_tasks

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "set [[-a] [pid | task] | [-c cpu] | -p] | [setting value] | -v"
OPTIONS = {
    "-a": "make the task the one its CPU ran (the default of bt -a is not changed)",
    "-c CPU": "the task that a CPU was running",
    "-p": "back to the task that crashed",
    "-v": "show all settings",
}
_ON = {"on": True, "off": False, "1": True, "0": False}
# Of crash's settings those that change nothing on a dump read by drgn; they are accepted.
_IDLE = {
    "refresh": "on", "print_max": "256", "print_array": "off", "console": "(not assigned)",
    "debug": "0", "core": "off", "hash": "on", "unwind": "on", "zero_excluded": "off",
    "null-stop": "off", "scope": "0 (not set)", "offline": "show", "redzone": "on",
    "error": "default", "edit": "emacs", "gdb": "off", "silent": "off",
}  # fmt: skip


def run(shell: Shell, args: Args, out: Out) -> None:
    """Change or show."""
    from oopsight.shell import CommandError

    if args.has("-v"):
        _settings(shell, out)
        return
    if args.has("-p"):
        shell.task = shell.panic_task()
    elif args.has("-c"):
        word = args.value("-c") or ""
        running = current_tasks(shell.prog)
        if not word.isdecimal() or int(word) not in running:
            raise CommandError(f"no CPU {word}; there are {cpus_of(shell.prog)}")
        shell.task = running[int(word)]
    elif args.rest and _setting(shell, args.rest, out):
        return
    elif args.rest:
        shell.task = shell.find_task(args.rest[0])
    show_context(shell, shell.task, out)


def show_context(shell: Shell, task: Any, out: Out) -> None:
    """A task in five lines."""
    data = task_data(out, task)
    info = out.got(lambda: _thread_info(task), "thread_info")
    state = out.got(lambda: _state(shell, task), "state")
    out.line(f"    PID: {data['pid']}")
    out.line(f'COMMAND: "{data["command"]}"')
    out.line(f"   TASK: {data['task']:x}  [THREAD_INFO: {info:x}]")
    out.line(f"    CPU: {data['cpu']}")
    out.line(f"  STATE: {state}")
    out.row(None, **data, thread_info=info, state=state)


def _thread_info(task: Any) -> Address:
    from drgn.helpers.linux.sched import task_thread_info

    return Address(task_thread_info(task).value_())


_STATES = {0: "TASK_RUNNING", 1: "TASK_INTERRUPTIBLE", 2: "TASK_UNINTERRUPTIBLE", 4: "TASK_STOPPED",
           8: "TASK_TRACED", 0x402: "TASK_IDLE", 0x802: "TASK_NEW"}  # fmt: skip
_EXIT = {0x10: "EXIT_DEAD", 0x20: "EXIT_ZOMBIE"}


def _state(shell: Shell, task: Any) -> str:
    try:
        value = int(task.member_("__state").value_())
    except AttributeError:
        value = int(task.state.value_())
    exited = int(task.exit_state.value_())
    # Whether a sleeper may be frozen is no state of its own (TASK_FREEZABLE and its kin).
    name = _EXIT.get(exited) or _STATES.get(value & ~0xF000) or f"{value:#x}"
    panicked = not isinstance(shell.evidence.get(Standstill), Standstill)
    if panicked and task.value_() == shell.panic_task().value_():
        return f"{name} (PANIC)"
    active = {t.value_() for t in current_tasks(shell.prog).values()}
    return f"{name} (ACTIVE)" if task.value_() in active else name


def _setting(shell: Shell, words: list[str], out: Out) -> bool:
    """Change a setting; whether the words name one."""
    from oopsight.shell import CommandError

    name, value = words[0], words[1] if len(words) > 1 else None
    settings = shell.settings
    if name in ("scroll", "echo", "colour", "color"):
        name = "colour" if name == "color" else name
        if value in ("less", "more"):
            settings.pager, value = value, "on"
        if value is not None:
            if value not in _ON:
                raise CommandError(f"{name} is set to on or off, not {value}")
            setattr(settings, name, _ON[value])
        out.line(f"{name}: {'on' if getattr(settings, name) else 'off'}")
        return True
    if name == "radix":
        radixes = {"10": 10, "dec": 10, "decimal": 10, "16": 16, "hex": 16, "hexadecimal": 16}
        if value is not None:
            if value.lower() not in radixes:
                raise CommandError(f"radix is set to 10 or 16, not {value}")
            settings.radix = radixes[value.lower()]
        out.line(f"output radix: {settings.radix} ({'hex' if settings.radix == 16 else 'decimal'})")
        return True
    if name in ("namelist", "dumpfile"):
        out.line(f"{name}: {getattr(settings, name)}")
        return True
    if name in _IDLE and not name.isdecimal():
        chosen = shell.cache.setdefault("idle-settings", dict(_IDLE))
        if value is not None:
            chosen[name] = value
        out.line(f"{name}: {chosen[name]}")
        return True
    return False


def _settings(shell: Shell, out: Out) -> None:
    settings = shell.settings
    values: dict[str, Any] = {
        "scroll": f"{'on' if settings.scroll else 'off'} ({settings.pager})",
        "radix": f"{settings.radix} ({'hexadecimal' if settings.radix == 16 else 'decimal'})",
        "echo": "on" if settings.echo else "off",
        "colour": "on" if settings.colour else "off",
        "namelist": settings.namelist,
        "dumpfile": settings.dumpfile,
        **shell.cache.get("idle-settings", _IDLE),
    }
    for name, value in values.items():
        out.row(f"{name:>14}: {value}", setting=name, value=value)
