"""Files of sysfs: the attributes behind them, and the types of the objects they belong to.

A node of kernfs points to its ``struct attribute``, which drivers keep in their own data; its
directory points to the ``struct kobject``, which names its ``kobj_type``.
"""

from __future__ import annotations

import functools
import struct

from oopsight.evidence.registries import Look
from oopsight.kernel.paths import kernfs_path

THING = "sysfs file"
REGISTERS = (
    "sysfs_create_*",
    "device_create*",
    "device_add*",
    "device_register",
    "kobject_init_and_add",
    "kobject_add",
    # Subsystems make a device, with the files of its class, of whatever is registered with them.
    "*register*",
    "class_create*",
    "__class_create*",
    "driver_create_file",
)

_NODE, _KOBJECT = "struct kernfs_node", "struct kobject"
_DIRECTORY, _FILE, _KIND = 1, 2, 0xF  # enum kernfs_node_type, include/linux/kernfs.h


def search(look: Look) -> None:
    """``sysfs_create_file()`` and ``device_add()`` leave them."""
    root = look.variable("sysfs_root_kn")
    width = look.type(_NODE).member("flags").type.size or 2
    flags_at, private_at = look.offset(_NODE, "flags"), look.offset(_NODE, "priv")
    links_at = look.offset(_NODE, "rb") + 8
    first = min(flags_at, private_at, links_at)
    span = first, max(flags_at + width, private_at + 8, links_at + 16)
    flags_at, private_at = flags_at - first, private_at - first
    unpack = struct.Struct("<Q").unpack_from
    low, high = look.area
    waiting, seen = [root.value_()], set()
    while waiting:
        directory = waiting.pop()
        if directory in seen:
            continue
        seen.add(directory)
        with look.part(f"sysfs directory {directory:#x}"):
            head = (_NODE, directory, "dir.children.rb_node")
            for node, part in look.nodes(head, (_NODE, "rb"), "sysfs", span):
                kind = part[flags_at] & _KIND
                if kind == _FILE:
                    (owner,) = unpack(part, private_at)
                    if low <= owner < high and look.gone(owner):
                        look.at(_NODE, node, "priv", functools.partial(_path, look, node))
                elif kind == _DIRECTORY:
                    (owner,) = unpack(part, private_at)
                    waiting.append(node)
                    path = functools.partial(_path, look, node)
                    if look.gone(owner):
                        look.at(_NODE, node, "priv", path)
                    elif owner:  # directories of attribute groups have no object
                        look.at(_KOBJECT, owner, "ktype", path)


def _path(look: Look, node: int) -> str:
    from drgn import Object

    return f"/sys{kernfs_path(Object(look.prog, f'{_NODE} *', node))}"
