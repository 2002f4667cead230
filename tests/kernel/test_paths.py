"""Paths in directories made by hand, some of which lead in a circle."""

from __future__ import annotations

from typing import Any

import drgn
import pytest
from handmade_memory import BASE, Kernel

from oopsight.kernel.paths import kernfs_path, path_of

MOUNT, OUTER, PATH, TREE = BASE + 0x100, BASE + 0x200, BASE + 0x300, BASE + 0x400
ROOT, ETC, FILE, TOP, POINT = (BASE + 0x1000 * number for number in range(1, 6))
NAME = 0x800


@pytest.fixture
def kernel() -> Kernel:
    kernel = Kernel()
    kernel.linked("dentry_operations", d_dname="long")
    kernel.linked("qstr", name="char *")
    kernel.linked("dentry", d_parent="dentry *", d_op="dentry_operations *", d_name="qstr")
    kernel.linked("vfsmount", mnt_root="dentry *")
    kernel.linked("mount", mnt_parent="mount *", mnt_mountpoint="dentry *", mnt="vfsmount")
    kernel.linked("path", mnt="vfsmount *", dentry="dentry *")
    kernel.linked("kernfs_root", kn="kernfs_node *")
    kernel.linked("kernfs_elem_dir", root="kernfs_root *")
    kernel.linked("kernfs_node", parent="kernfs_node *", name="char *", dir="kernfs_elem_dir")
    return kernel


def entry(kernel: Kernel, at: int, parent: int, text: bytes) -> None:
    kernel.put(at, parent, 0, at + NAME)
    kernel.text(at + NAME, text)


def path(kernel: Kernel, mount: int = MOUNT, of: int = FILE) -> Any:
    """Of a file of a file system that is mounted on a directory of another."""
    entry(kernel, TOP, TOP, b"/")
    entry(kernel, POINT, TOP, b"mnt")
    entry(kernel, ROOT, ROOT, b"/")
    entry(kernel, ETC, ROOT, b"etc")
    entry(kernel, FILE, ETC, b"a\x1b[2J")
    kernel.put(OUTER, OUTER, 0, TOP)
    kernel.put(MOUNT, OUTER, POINT, ROOT)
    kernel.put(PATH, mount + 16, of)
    return drgn.Object(kernel.prog, "struct path *", PATH)


def test_a_path_goes_through_mounts(kernel: Kernel) -> None:
    assert path_of(path(kernel)) == r"/mnt/etc/a\x1b[2J"
    assert path_of(path(kernel, MOUNT, ROOT)) == "/mnt"
    assert path_of(path(kernel, OUTER, TOP)) == "/"


@pytest.mark.parametrize(("at", "parent"), [(ETC, FILE), (TOP, POINT)])
def test_directories_that_lead_in_a_circle(kernel: Kernel, at: int, parent: int) -> None:
    one = path(kernel)
    kernel.put(OUTER, OUTER, 0, BASE)  # nothing is its root
    kernel.put(at, parent)
    with pytest.raises(drgn.FaultError, match="circle"):
        path_of(one)


def test_nodes_of_kernfs(kernel: Kernel) -> None:
    kernel.put(TREE, ROOT)
    for at, parent, text in ((ROOT, 0, b""), (ETC, ROOT, b"class"), (FILE, ETC, b"tty")):
        kernel.put(at, parent, at + NAME, TREE)
        kernel.text(at + NAME, text)
    node = drgn.Object(kernel.prog, "struct kernfs_node *", FILE)
    assert kernfs_path(node) == "/class/tty"
    assert kernfs_path(drgn.Object(kernel.prog, "struct kernfs_node *", ROOT)) == "/"
    kernel.put(ETC, FILE)
    with pytest.raises(drgn.FaultError, match="circle"):
        kernfs_path(node)
