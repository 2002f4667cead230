"""Files of debugfs: their operations and the data behind them."""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.evidence.registries import Look

THING = "debugfs file"
REGISTERS = ("debugfs_create_*",)

_DENTRY, _INODE = "struct dentry", "struct inode"
_FLAG = 1  # of d_fsdata: it is the file's operations; fs/debugfs/internal.h
_OF_INODE = ("i_op", "i_fop", "i_private")
_MASK = (1 << 64) - 1


def search(look: Look) -> None:
    """``debugfs_create_file()`` leaves them, ``debugfs_remove()`` takes them back."""
    for path, dentry in _dentries(look):
        _search_file(look, dentry, path)


def files(look: Look) -> Iterator[tuple[str, int, int]]:
    """Path, ``struct inode`` and operations of each file."""
    for path, dentry in _dentries(look):
        inode = look.read(_DENTRY, dentry, "d_inode")
        data = look.read(_DENTRY, dentry, "d_fsdata")
        if not inode:
            continue
        if data & _FLAG:
            yield path, inode, data & ~_FLAG
        elif data and look.has("struct debugfs_fsdata", "real_fops"):
            yield path, inode, look.read("struct debugfs_fsdata", data, "real_fops")
        elif look.has("struct debugfs_inode_info", "real_fops"):
            info = inode - look.offset("struct debugfs_inode_info", "vfs_inode")
            yield path, inode, look.read("struct debugfs_inode_info", info, "real_fops")


def _dentries(look: Look) -> Iterator[tuple[str, int]]:
    """Path and ``struct dentry`` of all that lies in debugfs."""
    mount = look.variable("debugfs_mount", "struct vfsmount *")
    if not mount:
        return
    waiting, seen = [("/sys/kernel/debug", mount.mnt_root.value_())], set()
    while waiting:
        path, directory = waiting.pop()
        if directory in seen:
            continue
        seen.add(directory)
        with look.part(path):
            for dentry in _children(look, directory):
                name = look.string(look.read(_DENTRY, dentry, "d_name.name"))
                below = f"{path}/{name}"
                yield below, dentry
                waiting.append((below, dentry))


def _children(look: Look, directory: int) -> Iterator[int]:
    if look.has(_DENTRY, "d_children"):  # since 6.8, commit da549bdd15c2
        return look.hash_list((_DENTRY, directory, "d_children"), (_DENTRY, "d_sib"), "debugfs")
    return look.entries((_DENTRY, directory, "d_subdirs"), (_DENTRY, "d_child"), "debugfs")


def _search_file(look: Look, dentry: int, path: str) -> None:
    inode = look.read(_DENTRY, dentry, "d_inode")
    if not inode:
        return
    look.all_at(_INODE, inode, _OF_INODE, path)
    data = look.read(_DENTRY, dentry, "d_fsdata")
    if data & _FLAG:
        look.at(_DENTRY, dentry, "d_fsdata", path, mask=_MASK & ~_FLAG)
    elif data:
        with look.part(path):
            for member in ("real_fops", "short_fops"):
                if look.has("struct debugfs_fsdata", member):
                    look.at("struct debugfs_fsdata", data, member, path)
    elif look.has("struct debugfs_inode_info", "real_fops"):  # since 6.14
        info = inode - look.offset("struct debugfs_inode_info", "vfs_inode")
        for member in ("real_fops", "short_fops"):
            if look.has("struct debugfs_inode_info", member):
                look.at("struct debugfs_inode_info", info, member, path)
