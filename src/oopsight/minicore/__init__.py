"""Minicores: dumps of the pages that an analysis reads, small enough to attach to a bug report.

The analysis is carried out on the whole dump while a :class:`~oopsight.minicore.record.Recorder`
keeps the pages it reads; those that belong to programs, files or nobody are left out.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from oopsight.cheap import dataclass, replace
from oopsight.dump.formats.kdump_compressed import MINICORE
from oopsight.dump.kdump_writer import Header, write_kdump
from oopsight.dump.notes import raw_notes, vmcoreinfo_note
from oopsight.errors import OutputError
from oopsight.evidence import Evidence
from oopsight.evidence.crash.backtrace import Backtrace, Role
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.modules.modules import Modules
from oopsight.minicore.kernel_data import (
    keep_code,
    keep_files,
    keep_modules,
    keep_per_cpu,
    keep_tasks,
    keep_unwinding,
    keep_variables,
    text_on_stack,
)
from oopsight.minicore.record import Recorder
from oopsight.minicore.scrub import scrub
from oopsight.minicore.user_pages import is_the_kernels
from oopsight.report import build
from oopsight.session import Session
from oopsight.text import c_string

COMMANDS = ("sys", "bt -a", "ps", "log", "mod -t", "files", "kmem -s", "runq", "task")
"""What the analysis itself may not read, and every reader of a crash asks first."""


@dataclass(frozen=True)
class Summary:
    """What was written."""

    pages: int
    left_out: int
    """Pages that were read, but belong to programs, files or nobody."""
    scrubbed: int
    bytes: int


def record(
    open_it: Callable[[Recorder], Session], commands: Sequence[str] = ()
) -> tuple[Session, Recorder, tuple[str, ...]]:
    """Analyse a dump and carry out commands, keeping what is read.

    :param open_it: opens the session with the recorder watching
    :return: the session, the recorder, and why commands failed
    """
    from oopsight.shell import Shell

    recorder = Recorder()
    session = open_it(recorder)
    evidence = Evidence(session)
    build(evidence)
    _keep_for_debuggers(session, evidence)
    shell, failed = Shell(session), []
    for command in (*COMMANDS, *commands):
        result = shell.run(command)
        if result.error is not None and command in commands:
            failed.append(f"{command}: {result.error}")
    return session, recorder, tuple(failed)


def _keep_for_debuggers(session: Session, evidence: Evidence) -> None:
    """Read what crash and drgn need beside what the analysis has read."""
    from drgn import FaultError
    from drgn.helpers.linux.kallsyms import load_module_kallsyms

    prog = session.prog
    keep_variables(prog)
    keep_per_cpu(prog)
    keep_tasks(prog)
    backtrace, modules = evidence.get(Backtrace), evidence.get(Modules)
    frames = backtrace.frames if isinstance(backtrace, Backtrace) else ()
    counters = [int(frame.pc) for frame in frames if frame.role is not Role.USER]
    task = evidence.get(CrashedTask)
    if isinstance(task, CrashedTask):
        keep_files(prog, int(task.pointer.address), [int(file.address) for file in task.files])
        counters += text_on_stack(prog, int(task.pointer.address))
    keep_unwinding(prog, counters)
    keep_code(prog, counters)
    with contextlib.suppress(FaultError, LookupError, AttributeError, ValueError):
        load_module_kallsyms(prog)  # the analysis has read those of the modules that it met
    if isinstance(modules, Modules):
        keep_modules(prog, modules.loaded, {frame.module for frame in frames})


def keep_own_symbols(session: Session) -> None:
    """Read what a symbol pack is made of, so that the minicore needs no debug package.

    :raises SymbolError: if the dump does not hold it
    """
    from oopsight.session import dump_memory
    from oopsight.symbols.pack.build import build_pack

    memory = dump_memory(session.prog, session.info)
    build_pack(memory.read, memory.vmcoreinfo)


def write(session: Session, recorder: Recorder, target: Path, *, private: bool) -> Summary:
    """Write what was kept.

    :param private: whether to scrub
    :raises OutputError: if the file cannot be written
    """
    recorder.recording = False
    pages = {
        frame: content
        for frame, content in sorted(recorder.pages.items())
        if is_the_kernels(session.prog, frame)
    }
    header = _header(session)
    scrubbed = 0
    if private:
        scrubbed = scrub(pages, _private_texts(session))
        header = replace(header, node="x" * len(header.node))
    size = _write(target, header, pages)
    return Summary(len(pages), len(recorder.pages) - len(pages), scrubbed, size)


def _header(session: Session) -> Header:
    from drgn.helpers.linux.cpumask import for_each_present_cpu

    info, uts = session.info, session.prog["init_uts_ns"].name
    names = ("sysname", "nodename", "release", "version", "machine", "domainname")
    texts = [c_string(uts.member_(name)).decode("utf-8", "replace") for name in names]
    known = info.vmcoreinfo
    base = known.get("NUMBER(phys_base)", "0")
    return Header(
        node=texts[1],
        utsname=(texts[0], *texts[2:]),
        vmcoreinfo=known.raw,
        # Where the dump itself has no VMCOREINFO, its notes have none either.
        notes=raw_notes(info) + (vmcoreinfo_note(known.raw) if info.recovered else b""),
        cpus=sum(1 for _ in for_each_present_cpu(session.prog)),
        physical_base=int(base) & (1 << 64) - 1,
        seconds=known.crash_time or 0,
        remark=MINICORE,
    )


def _private_texts(session: Session) -> list[bytes]:
    """The host's name, and the command line that the kernel was given."""
    from drgn import FaultError

    uts = session.prog["init_uts_ns"].name
    texts = [c_string(uts.nodename)]
    if c_string(uts.domainname) != b"(none)":
        texts.append(c_string(uts.domainname))
    for name in ("saved_command_line", "boot_command_line"):
        with contextlib.suppress(LookupError, FaultError):
            line = c_string(session.prog[name]).strip()
            # Parsing left the assignments behind one by one.
            texts += [line, *(word for word in line.split() if b"=" in word)]
    return texts


def _write(target: Path, header: Header, pages: dict[int, bytes]) -> int:
    """Replace the file as a whole, or leave it as it was."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            write_kdump(file, header, pages)  # type: ignore[arg-type]
        size = temporary.stat().st_size
        os.replace(temporary, target)  # noqa: PTH105  # as analyze does
    except OSError as error:
        if temporary:
            temporary.unlink(missing_ok=True)
        raise OutputError(f"{target}: {error.strerror or error}; nothing was written") from None
    return size
