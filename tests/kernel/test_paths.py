"""Paths in directories made by hand, some of which lead in a circle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import drgn
import pytest
from handmade_memory import BASE, Kernel

from oopsight.kernel.paths import kernfs_path, path_of

MOUNT, OUTER, PATH = BASE + 0x100, BASE + 0x200, BASE + 0x300
ROOT, ETC, FILE, TOP, POINT = (BASE + 0x1000 * number for number in range(1, 6))
TEXTS = BASE + 0x8000
Member = Callable[[], drgn.Type]


def made(kernel: Kernel, name: str, members: dict[str, Member]) -> None:
    """A structure of words, whose members may point to structures that are made later."""
    parts = [drgn.TypeMember(kind, one, 64 * n) for n, (one, kind) in enumerate(members.items())]
    kernel._types[name] = kernel.prog.struct_type(name, 8 * len(parts), parts)


@pytest.fixture
def kernel() -> Kernel:
    kernel = Kernel()
    prog = kernel.prog

    def to(name: str) -> Member:
        return lambda: prog.pointer_type(kernel.type(name))

    def text() -> drgn.Type:
        return prog.pointer_type(prog.int_type("char", 1, True))

    made(kernel, "dentry_operations", {"d_dname": lambda: kernel.word})
    made(kernel, "qstr", {"name": text})
    made(kernel, "dentry", {"d_parent": to("dentry"), "d_op": to("dentry_operations"),
                            "d_name": lambda: kernel.type("qstr")})  # fmt: skip
    made(kernel, "vfsmount", {"mnt_root": to("dentry")})
    made(kernel, "mount", {"mnt_parent": to("mount"), "mnt_mountpoint": to("dentry"),
                           "mnt": lambda: kernel.type("vfsmount")})  # fmt: skip
    made(kernel, "path", {"mnt": to("vfsmount"), "dentry": to("dentry")})
    made(kernel, "kernfs_root", {"kn": to("kernfs_node")})
    made(kernel, "kernfs_elem_dir", {"root": to("kernfs_root")})
    made(kernel, "kernfs_node", {"parent": to("kernfs_node"), "name": text,
                                 "dir": lambda: kernel.type("kernfs_elem_dir")})  # fmt: skip
    return kernel


def words(kernel: Kernel, at: int, *values: int) -> None:
    for number, value in enumerate(values):
        kernel.put(at + 8 * number, value)


def named(kernel: Kernel, text: bytes) -> int:
    """Address of a text."""
    at = TEXTS + 64 * (kernel.data[TEXTS - BASE :].count(b"\0\xff") + 1)
    data = text + b"\0\xff"
    kernel.data[at - BASE : at - BASE + len(data)] = data
    return at


def entry(kernel: Kernel, at: int, parent: int, text: bytes) -> None:
    words(kernel, at, parent, 0, named(kernel, text))


def path(kernel: Kernel) -> Any:
    """Of a file of a file system that is mounted on a directory of another."""
    entry(kernel, TOP, TOP, b"/")
    entry(kernel, POINT, TOP, b"mnt")
    entry(kernel, ROOT, ROOT, b"/")
    entry(kernel, ETC, ROOT, b"etc")
    entry(kernel, FILE, ETC, b"a\x1b[2J")
    words(kernel, OUTER, OUTER, 0, TOP)
    words(kernel, MOUNT, OUTER, POINT, ROOT)
    words(kernel, PATH, MOUNT + 16, FILE)
    return drgn.Object(kernel.prog, "struct path *", PATH)


def test_a_path_goes_through_mounts(kernel: Kernel) -> None:
    assert path_of(path(kernel)) == r"/mnt/etc/a\x1b[2J"
    words(kernel, PATH, MOUNT + 16, ROOT)
    assert path_of(drgn.Object(kernel.prog, "struct path *", PATH)) == "/mnt"
    words(kernel, PATH, OUTER + 16, TOP)
    assert path_of(drgn.Object(kernel.prog, "struct path *", PATH)) == "/"


@pytest.mark.parametrize(("at", "parent"), [(ETC, FILE), (TOP, POINT)])
def test_directories_that_lead_in_a_circle(kernel: Kernel, at: int, parent: int) -> None:
    one = path(kernel)
    words(kernel, OUTER, OUTER, 0, BASE)  # nothing is its root
    kernel.put(at, parent)
    with pytest.raises(drgn.FaultError, match="circle"):
        path_of(one)


def test_nodes_of_kernfs(kernel: Kernel) -> None:
    root = BASE + 0x400
    words(kernel, root, ROOT)
    for at, parent, text in ((ROOT, 0, b""), (ETC, ROOT, b"class"), (FILE, ETC, b"tty")):
        words(kernel, at, parent, named(kernel, text), root)
    node = drgn.Object(kernel.prog, "struct kernfs_node *", FILE)
    assert kernfs_path(node) == "/class/tty"
    assert kernfs_path(drgn.Object(kernel.prog, "struct kernfs_node *", ROOT)) == "/"
    kernel.put(ETC, FILE)
    with pytest.raises(drgn.FaultError, match="circle"):
        kernfs_path(node)
