"""Who gives files to processes and puts them as well, where a file was closed that nobody had.

``fd_install()`` and ``dma_buf_fd()`` hand the reference on to the process: from then on it is not
the driver's to put. The file itself was freed with the last reference, so that nothing in it tells
whose it was.
"""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.log import Log
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import LogPointer, ModulePointer
from oopsight.plumbing import base_name
from oopsight.session import Session

REPORT = "VFS: Close: file count is 0"  # fs/open.c
_CHECKS = ("filp_flush", "filp_close")
_GIVES = re.compile(r"fd_install|(?!put_unused)\w+_fd|anon_inode_getfd\w*")
_PUTS = re.compile(r"_*fput\w*|filp_close|dma_buf_put|sockfd_put|sock_release|sync_file_put")


@dataclass(frozen=True)
class GivesFiles:
    """A module from outside the kernel, and its functions that put files."""

    module: ModulePointer
    functions: tuple[str, ...]
    """Those first that give files to processes, too."""
    both: bool
    """Whether the first of them does."""


@dataclass(frozen=True)
class FileGivers:
    """Of a file that was put more often than it was got."""

    report: LogPointer
    modules: tuple[GivesFiles, ...]
    """Those first of which a function both gives and puts."""


def collect(
    session: Session, log: Log, backtrace: Backtrace, modules: Modules
) -> FileGivers | Missing:
    """Look for calls that put files, in the modules that are not the kernel's own."""
    report = log.find(REPORT)
    # Before Linux 6.8 the kernel only says so, and goes on.
    stopped = any(frame.function in _CHECKS for frame in backtrace.crash_path[:2])
    if report is None or not stopped:
        return Missing(Why.NOT_APPLICABLE, "no file without a reference was closed")
    found = []
    for module in modules.loaded:
        code = inner_functions(session, module) if module.taints else []
        puts = [one for one in code if _calls(one, _PUTS)]
        gives = {one.name for one in puts if _calls(one, _GIVES)}
        puts.sort(key=lambda one: one.name not in gives)
        if puts:
            names = tuple(dict.fromkeys(base_name(one.name) for one in puts))
            found.append(GivesFiles(module.pointer, names, bool(gives)))
    return FileGivers(report, tuple(sorted(found, key=lambda one: not one.both)))


def _calls(function: ModuleFunction, what: re.Pattern[str]) -> bool:
    return any(what.fullmatch(name) for name in function.outside)
