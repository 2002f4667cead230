"""File systems, mounted ones too, and formats of programs."""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.evidence.registries import Look

THING = "file system"
REGISTERS = ("register_filesystem", "__register_binfmt")

_TYPE, _SUPER, _FORMAT = "struct file_system_type", "struct super_block", "struct linux_binfmt"


def search(look: Look) -> None:
    """``register_filesystem()`` and ``register_binfmt()`` leave them."""
    with look.part("file_systems"):
        for entry in _file_systems(look):
            name = look.string(look.at(_TYPE, entry, "name", THING))
            for member in ("mount", "init_fs_context", "kill_sb", "owner"):
                if look.has(_TYPE, member):
                    look.at(_TYPE, entry, member, name)
    with look.part("super_blocks"):
        head = ("struct list_head", look.variable("super_blocks").address_, "")
        for super_block in look.entries(head, (_SUPER, "s_list"), "mounted file system"):
            for member in ("s_op", "s_type", "s_xattr", "s_export_op", "s_d_op"):
                if look.has(_SUPER, member):
                    look.at(_SUPER, super_block, member, "mounted file system")
    with look.part("formats"):
        head = ("struct list_head", look.variable("formats", "struct list_head").address_, "")
        for entry in look.entries(head, (_FORMAT, "lh"), "binary format"):
            look.at(_FORMAT, entry, "load_binary", "binary format")


def _file_systems(look: Look) -> Iterator[int]:
    if look.has(_TYPE, "list"):  # a hash list in newer kernels
        head = look.variable("file_systems", "struct hlist_head").address_
        yield from look.hash_list(("struct hlist_head", head, ""), (_TYPE, "list"), THING)
        return
    variable = look.variable("file_systems", f"{_TYPE} *")
    first = variable.value_()
    look.word("file_systems", variable.address_, 0, first, THING)
    if first and not look.gone(first):
        yield first
        yield from look.chain((_TYPE, first, "next"), (_TYPE, "next"), THING)
