"""Hooks of security modules: ``security_hook_heads``.

Since 6.12 (commit 417c5643cd67) they are static calls, which no module can add to.
"""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "security hook"
REGISTERS = ("security_add_hooks",)

_HEADS, _HOOK = "struct security_hook_heads", "struct security_hook_list"


def search(look: Look) -> None:
    """``security_add_hooks()`` leaves them; a module that calls it cannot take them back."""
    if look.typed and "security_hook_heads" not in look.prog:
        return
    heads = look.variable("security_hook_heads", _HEADS).address_
    for member in look.type(_HEADS).members or ():
        if not member.name:
            continue
        for hook in look.hash_list((_HEADS, heads, member.name), (_HOOK, "list"), member.name):
            look.at(_HOOK, hook, "hook", member.name)
