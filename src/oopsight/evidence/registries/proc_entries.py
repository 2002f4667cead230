"""Entries of ``/proc``: their operations and the functions that show them."""

from __future__ import annotations

from oopsight.evidence.registries import Look
from oopsight.walk import MOST_NETWORKS, each_once

THING = "proc entry"
REGISTERS = ("proc_create*", "proc_mkdir*", "proc_symlink")

_ENTRY = "struct proc_dir_entry"
# Anonymous unions hold several of these at the same place; a pointer is kept once.
_POINTERS = ("proc_ops", "proc_fops", "proc_iops", "seq_ops", "single_show", "data", "write")


def search(look: Look) -> None:
    """``proc_create()`` leaves them, ``remove_proc_entry()`` takes them back."""
    members = tuple(member for member in _POINTERS if look.has(_ENTRY, member))
    roots = {"/proc": look.variable("proc_root", _ENTRY).address_}
    with look.part("/proc/net"):
        from drgn.helpers.linux.net import for_each_net

        for net in each_once(for_each_net(look.prog), MOST_NETWORKS):
            roots[f"/proc/net of {net.value_():#x}"] = net.proc_net.value_()
    for path, root in roots.items():
        _search(look, path.partition(" ")[0], root, members)


def _search(look: Look, path: str, root: int, members: tuple[str, ...]) -> None:
    waiting, seen = [(path, root)], set()
    while waiting:
        path, directory = waiting.pop()
        if not directory or directory in seen:
            continue
        seen.add(directory)
        with look.part(path):
            head = (_ENTRY, directory, "subdir.rb_node")
            for entry in look.tree(head, (_ENTRY, "subdir_node"), path):

                def label(entry: int = entry, path: str = path) -> str:
                    return f"{path}/{look.string(look.read(_ENTRY, entry, 'name'))}"

                look.all_at(_ENTRY, entry, members, label)
                if look.read(_ENTRY, entry, "subdir.rb_node"):
                    waiting.append((label(), entry))
