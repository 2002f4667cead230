"""Tables behind ``/proc/sys``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from oopsight.evidence.registries import Look
from oopsight.walk import MOST_NETWORKS, each_once

THING = "sysctl"
REGISTERS = ("register_sysctl*", "__register_sysctl*", "register_net_sysctl*")

_DIR, _NODE = "struct ctl_dir", "struct ctl_node"
_HEADER, _TABLE = "struct ctl_table_header", "struct ctl_table"
_POINTERS = ("procname", "data", "proc_handler", "extra1", "extra2")
_IS_DIRECTORY = 0o040000


def search(look: Look) -> None:
    """``register_sysctl()`` leaves them, ``unregister_sysctl_table()`` takes them back."""
    for path, entry in entries(look):
        look.all_at(_TABLE, entry, _POINTERS, path)


def entries(look: Look) -> Iterator[tuple[Callable[[], str], int]]:
    """What each of the tables' entries is called, and where it is."""
    from drgn.helpers.linux.net import for_each_net

    root = look.variable("sysctl_table_root", "struct ctl_table_root").address_
    roots = [root + look.offset("struct ctl_table_root", "default_set.dir")]
    with look.part("/proc/sys/net"):
        networks = each_once(for_each_net(look.prog), MOST_NETWORKS)
        roots += [n.value_() + look.offset("struct net", "sysctls.dir") for n in networks]
    size, row = look.type(_NODE).size or 1, look.type(_TABLE).size or 1
    mode_at = look.offset(_TABLE, "mode")
    waiting = [("/proc/sys", directory) for directory in roots]
    seen = set()
    while waiting:
        path, directory = waiting.pop()
        if directory in seen:
            continue
        seen.add(directory)
        with look.part(path):
            for node in look.tree((_DIR, directory, "root.rb_node"), (_NODE, "node"), path):
                header = look.at(_NODE, node, "header", path)
                if not header or look.gone(header):
                    continue
                table, first = look.all_at(_HEADER, header, ("ctl_table", "node"), path)
                if not table or look.gone(table):
                    continue
                entry = table + row * ((node - first) // size)
                below = functools.partial(_path, look, path, entry)
                yield below, entry
                mode = look.prog.read(entry + mode_at, 2)
                if int.from_bytes(mode, "little") & 0o170000 == _IS_DIRECTORY:
                    waiting.append((below(), header))


def _path(look: Look, path: str, entry: int) -> str:
    return f"{path}/{look.string(look.read(_TABLE, entry, 'procname'))}"
