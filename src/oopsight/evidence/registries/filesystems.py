"""File systems, mounted ones too, and formats of programs."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "file system"

_TYPE, _SUPER, _FORMAT = "struct file_system_type", "struct super_block", "struct linux_binfmt"


def search(look: Look) -> None:
    """``register_filesystem()`` and ``register_binfmt()`` leave them."""
    variable = look.variable("file_systems", f"{_TYPE} *")
    entry, seen = variable.value_(), set()
    look.word("file_systems", variable.address_, 0, entry, "file_systems")
    while entry and not look.gone(entry) and entry not in seen:
        seen.add(entry)
        name = look.string(look.at(_TYPE, entry, "name", "file system"))
        for member in ("mount", "init_fs_context", "kill_sb", "owner"):
            if look.has(_TYPE, member):
                look.at(_TYPE, entry, member, name)
        entry = look.at(_TYPE, entry, "next", name)
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
