"""BUG(), WARN() and the checks that end in them, with the headline's refinements."""

from __future__ import annotations

import re

from oopsight.kinds import Kind
from oopsight.oops.families import Blame, Format, compiled

_LIST = r"lib/list_debug\.c|__list_(?:add|del)_(?:entry_)?valid"
_USERCOPY = r"mm/usercopy\.c|usercopy_(?:abort|warn)"


def _bug(after: list[str], match: re.Match[str]) -> tuple[Kind, str] | None:
    head = match.string + "".join(
        line for line in after[:8] if compiled(r"RIP|PC is at|pc :").match(line)
    )
    if compiled(_LIST).search(head):
        return Kind.LIST_CORRUPTION, "BUG: corrupted list in {function}"
    if compiled(_USERCOPY).search(head):
        return Kind.BUG, "BUG: bad usercopy in {function}"
    return None


# A check's own source file tells which check it is, whatever it is called in that release.
_CHECKS = (
    ("WARNING: refcount bug", Kind.REFCOUNT, r"lib/refcount\.c|include/linux/refcount"),
    ("WARNING: ODEBUG bug", Kind.WARNING, r"lib/debugobjects\.c"),
    ("WARNING: kobject bug", Kind.WARNING, r"lib/kobject\.c"),
    ("WARNING: kmalloc bug", Kind.WARNING, r"mm/(?:slab_common|slub|util)\.c\S{0,20} (?:at )?"
                                           r"(?:__)?k(?:v?malloc|calloc)_?\w{0,30}\+"),
    ("WARNING: zero-size vmalloc", Kind.WARNING, r"mm/vmalloc\.c"),
    ("WARNING: bad usercopy", Kind.WARNING, _USERCOPY),
    ("WARNING: locking bug", Kind.LOCK_MISUSE, r"kernel/locking/lockdep\.c"),
    ("BUG: corrupted list", Kind.LIST_CORRUPTION, _LIST),
)  # fmt: skip


def _warning(after: list[str], match: re.Match[str]) -> tuple[Kind, str] | None:
    del after
    for name, kind, where in _CHECKS:
        if compiled(where).search(match.string):
            return kind, name + " in {function}"
    # A driver that hands the USB core a broken request is named with the core's check.
    if "usb_submit_urb" in match.string:
        return Kind.WARNING, "WARNING in {function}/usb_submit_urb"
    return None


FORMATS = (
    Format(
        Kind.BUG,
        "kernel BUG",
        r"kernel BUG (?:at|in) (?:\[.{0,300}\] )?[^\s:]{1,300}:\d{1,7}",
        "kernel BUG in {function}",
        "BUG() and BUG_ON(); the file tells list and usercopy checks apart",
        rank=20,
        refine=_bug,
    ),
    Format(
        Kind.BUG,
        "ernel BUG",
        r"(?:^|[\]:] )[Kk]ernel BUG ?(?:\[#\d|detected)",
        "kernel BUG in {function}",
        "riscv and others: die() on a BUG() whose own line is lost",
        rank=80,
    ),
    Format(
        Kind.BUG,
        "ernel bug detected",
        r"Kernel bug detected ?\[#",
        "kernel BUG in {function}",
        "mips: BUG()",
        rank=60,
    ),
    Format(
        Kind.BUG,
        "panicked at",
        r"rust_kernel: panicked at (?:'(?P<what>[^']{1,200})', )?",
        "{what} in {function}",
        "a Rust panic, its message on this line or the next; BUG() follows it",
        rank=20,
        leads_to=("kernel BUG", "WARNING"),
        refine=lambda after, match: (
            None
            if match["what"]
            else (Kind.BUG, (after[1].strip(" .")[:200].replace("{", "(").replace("}", ")")
                             if len(after) > 1 else "Rust panic") + " in {function}")
        ),
    ),
    Format(
        Kind.BUG,
        "usercopy: ",
        r"usercopy: [Kk]ernel memory (?:exposure|overwrite) attempt detected",
        "BUG: bad usercopy in {function}",
        "a copy to or from user space that crosses an object's bounds",
        rank=20,
        leads_to=("kernel BUG", "WARNING"),
    ),
    Format(
        Kind.WARNING,
        "WARNING: ",
        (
            r"WARNING: (?:CPU: \d{1,5} |at |\[.{1,300}\] \S{1,300}:\d{1,7} at "
            r"|[^\s:]{1,300}:\d{1,7} (?:at )?(?:0x[0-9a-f]|\S{1,200}\+0x))"
        ),
        "WARNING in {function}",
        "WARN_ON() and its kin, in the words of 2.6 to 7.x",
        rank=20,
        stacked=True,
        refine=_warning,
    ),
    Format(
        Kind.WARNING,
        "Badness at ",
        r"^\W{0,4}Badness at [^\s:]{1,300}:\d",
        "WARNING in {function}",
        "powerpc and old kernels: WARN_ON()",
        rank=20,
        refine=_warning,
    ),
    Format(
        Kind.REFCOUNT,
        "refcount_t: ",
        r"refcount_t: (?:underflow|overflow|saturated|addition on 0|increment on 0|decrement)",
        "WARNING: refcount bug in {function}",
        "said before the WARN()",
        rank=20,
        leads_to=("WARNING", "cut here"),
    ),
    Format(
        Kind.WARNING,
        "ODEBUG: ",
        r"ODEBUG: \w{1,20} (?:active|not available|destroyed|initialized|inactive)",
        "WARNING: ODEBUG bug in {function}",
        "said before the WARN()",
        rank=20,
        leads_to=("WARNING", "cut here"),
    ),
    Format(
        Kind.WARNING,
        "WARNING: kernel stack ",
        (
            r"WARNING: kernel stack (?P<what>regs|frame pointer) at \S{1,40} in \S{1,60} has bad "
            r"(?P<rest>'bp' value|value)"
        ),
        "WARNING: kernel stack {what} has bad {rest}",
        "the unwinder met a frame that cannot be",
        blame=Blame.NOBODY,
        rank=15,
    ),
    Format(
        Kind.WARNING,
        "cannot create duplicate filename",
        r"sysfs: cannot create duplicate filename",
        "WARNING in {function}",
        "two objects of one name",
        rank=40,
        leads_to=("WARNING",),
    ),
    Format(
        Kind.LIST_CORRUPTION,
        "list_",
        r"(?:^|[\]:] )list_(?:add|del) (?:corruption|double add)",
        "BUG: corrupted list in {function}",
        "CONFIG_DEBUG_LIST, said before the BUG() or WARN()",
        rank=20,
        leads_to=("kernel BUG", "WARNING: ", "cut here"),
    ),
    Format(
        Kind.WARNING,
        "WARNING: ",
        r"^WARNING: (?P<what>[A-Za-z].{0,110})",
        "WARNING: {what}",
        "a message that the kernel itself calls a warning, with a stack",
        blame=Blame.NOBODY,
        rank=95,
        drop=True,
    ),
)  # fmt: skip
