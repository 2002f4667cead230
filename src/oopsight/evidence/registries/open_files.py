"""Files that programs have open: the operations behind them."""

from __future__ import annotations

from oopsight.evidence.registries import Look
from oopsight.kernel.paths import path_of

THING = "open file"

_FILE, _FILES, _TABLE = "struct file", "struct files_struct", "struct fdtable"
_MOST_OPEN = 65536


def search(look: Look) -> None:
    """An open file keeps its module loaded only where its operations name their owner."""
    from drgn.helpers.linux.pid import for_each_task

    tables, seen = set(), set()
    for task in for_each_task(look.prog):
        files = look.read("struct task_struct", task.value_(), "files")
        if not files or files in tables:
            continue  # a kernel thread, or a thread that shares its program's
        tables.add(files)
        with look.part(f"files of task {task.value_():#x}"):
            table = look.read(_FILES, files, "fdt")
            most = look.read(_TABLE, table, "max_fds") & 0xFFFFFFFF
            for file in look.words(look.read(_TABLE, table, "fd"), min(most, _MOST_OPEN)):
                if not file or file in seen:
                    continue
                seen.add(file)

                def label(file: int = file) -> str:
                    return _path(look, file)

                look.at(_FILE, file, "f_op", label)
                look.at(_FILE, file, "private_data", label)


def _path(look: Look, file: int) -> str:
    from drgn import Object

    found = Object(look.prog, f"{_FILE} *", file)
    return path_of(found.f_path.address_of_())
