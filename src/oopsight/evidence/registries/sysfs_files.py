"""Files of sysfs: the attributes behind them, and the types of the objects they belong to.

A node of kernfs points to its ``struct attribute``, which drivers keep in their own data; its
directory points to the ``struct kobject``, which names its ``kobj_type``.
"""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "sysfs file"

_NODE, _KOBJECT = "struct kernfs_node", "struct kobject"
_DIRECTORY, _FILE, _KIND = 1, 2, 0xF  # enum kernfs_node_type, include/linux/kernfs.h


def search(look: Look) -> None:
    """``sysfs_create_file()`` and ``device_add()`` leave them."""
    root = look.variable("sysfs_root_kn")
    flags = look.type(_NODE).member("flags").type.size or 2
    flags_at = look.offset(_NODE, "flags")
    waiting, seen = [root.value_()], set()
    while waiting:
        directory = waiting.pop()
        if directory in seen:
            continue
        seen.add(directory)
        with look.part(f"sysfs directory {directory:#x}"):
            head = (_NODE, directory, "dir.children.rb_node")
            for node in look.tree(head, (_NODE, "rb"), "sysfs"):

                def label(node: int = node) -> str:
                    return _path(look, node)

                kind = look.prog.read(node + flags_at, flags)[0] & _KIND
                if kind == _FILE:
                    look.at(_NODE, node, "priv", label)
                elif kind == _DIRECTORY:
                    waiting.append(node)
                    owner = look.at(_NODE, node, "priv", label)
                    # Directories of attribute groups have no object.
                    if owner and not look.gone(owner):
                        look.at(_KOBJECT, owner, "ktype", label)


def _path(look: Look, node: int) -> str:
    from drgn import Object
    from drgn.helpers.linux.kernfs import kernfs_path

    from oopsight.text import printable

    path = kernfs_path(Object(look.prog, f"{_NODE} *", node))
    return f"/sys{printable(path)}"
