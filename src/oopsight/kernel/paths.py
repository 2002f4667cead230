"""Paths of files and of nodes of kernfs, of which a damaged dump may have no end."""

from __future__ import annotations

from typing import Any

from oopsight.text import c_string, printable

_MOST_STEPS = 4096
"""Directories and mounts on the way to the root; a path has no more characters."""


def path_of(path: Any) -> str:
    """The name of a ``struct path *`` as its task would write it.

    :return: ``[pipefs]`` and the like for what has no name in any directory
    :raises drgn.FaultError: if a name or link cannot be read, or the links lead in a circle
    """
    from drgn import FaultError, container_of

    mount = container_of(path.mnt, "struct mount", "mnt")
    entry = path.dentry.read_()
    operations = entry.d_op.read_()
    if operations and operations.d_dname:
        return f"[{printable(c_string(entry.d_inode.i_sb.s_type.name))}]"
    names: list[bytes] = []
    for _ in range(_MOST_STEPS):
        if entry == mount.mnt.mnt_root:
            outer = mount.mnt_parent.read_()
            if outer == mount:
                return _joined(names)
            entry, mount = mount.mnt_mountpoint.read_(), outer
            continue
        parent = entry.d_parent.read_()
        if parent == entry:
            return _joined(names)
        names.append(c_string(entry.d_name.name))
        entry = parent
    raise FaultError("directories that lead in a circle", entry.value_())


def kernfs_path(node: Any) -> str:
    """The path of a ``struct kernfs_node *`` from its root on.

    :raises drgn.FaultError: if a name or link cannot be read, or the links lead in a circle
    """
    from drgn import FaultError
    from drgn.helpers.linux.kernfs import kernfs_parent, kernfs_root

    root = kernfs_root(node).kn.read_()
    names: list[bytes] = []
    for _ in range(_MOST_STEPS):
        if node == root:
            return _joined(names)
        names.append(c_string(node.name))
        node = kernfs_parent(node)
    raise FaultError("nodes that lead in a circle", node.value_())


def _joined(names: list[bytes]) -> str:
    """:param names: the innermost first"""
    return printable(b"/" + b"/".join(reversed(names)))
