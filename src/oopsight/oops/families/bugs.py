"""BUG(), WARN() and the checks that end in them, with the headline's refinements."""

from __future__ import annotations

import re

from oopsight.kinds import Kind
from oopsight.oops.families import Blame, Format

_LIST = re.compile(r"lib/list_debug\.c|__list_(?:add|del)_(?:entry_)?valid")
_USERCOPY = re.compile(r"mm/usercopy\.c|usercopy_abort")


def _bug(after: list[str]) -> tuple[Kind, str] | None:
    head = " ".join(after[:1])
    if _LIST.search(head):
        return Kind.LIST_CORRUPTION, "BUG: corrupted list in {function}"
    if _USERCOPY.search(head):
        return Kind.BUG, "BUG: bad usercopy in {function}"
    return None


_CHECKS = (
    ("refcount", Kind.REFCOUNT, re.compile(r"lib/refcount\.c|include/linux/refcount")),
    ("ODEBUG", Kind.WARNING, re.compile(r"lib/debugobjects\.c")),
    ("kobject", Kind.WARNING, re.compile(r"lib/kobject\.c")),
    ("kmalloc", Kind.WARNING, re.compile(r"mm/slab_common\.c\S* kmalloc_slab")),
)


def _warning(after: list[str]) -> tuple[Kind, str] | None:
    head = " ".join(after[:1])
    for name, kind, where in _CHECKS:
        if where.search(head):
            return kind, f"WARNING: {name} bug in {{function}}"
    if re.search(r"mm/vmalloc\.c", head):
        return Kind.WARNING, "WARNING: zero-size vmalloc in {function}"
    return None


FORMATS = (
    Format(
        Kind.BUG,
        "kernel BUG at",
        re.compile(r"kernel BUG at [^\s:]+:\d+"),
        "kernel BUG in {function}",
        "BUG() and BUG_ON(); the file tells list and usercopy checks apart",
        rank=20,
        refine=_bug,
    ),
    Format(
        Kind.BUG,
        "panicked at",
        re.compile(r"rust_kernel: panicked at "),
        "Rust panic in {function}",
        "a Rust panic; BUG() follows it",
        rank=20,
        leads_to=("kernel BUG at",),
    ),
    Format(
        Kind.WARNING,
        "WARNING: ",
        re.compile(r"WARNING: (?:(?:CPU: \d+|at|[\w./-]+:\d+ at) .*|.*\.[chS]:\d+ \S+\+0x)"),
        "WARNING in {function}",
        "WARN_ON() and its kin",
        rank=20,
        refine=_warning,
    ),
    Format(
        Kind.WARNING,
        "WARNING: ",
        re.compile(
            r"WARNING: kernel stack (?P<what>regs|"
            r"frame pointer) at \S+ in \S+ has bad (?P<rest>'bp' value|"
            r"value)"
        ),
        "WARNING: kernel stack {what} has bad {rest}",
        "the unwinder met a frame that cannot be",
        blame=Blame.NOBODY,
        rank=15,
    ),
    Format(
        Kind.LIST_CORRUPTION,
        "list_",
        re.compile(r"list_(?:add|del) corruption"),
        "BUG: corrupted list in {function}",
        "CONFIG_DEBUG_LIST, said before the BUG() or WARN()",
        rank=20,
        leads_to=("kernel BUG at", "WARNING: ", "cut here"),
    ),
)
