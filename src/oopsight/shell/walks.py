"""Page table walks of this dump: of the kernel and of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.shell.output import readable_errors
from oopsight.shell.paging import Walk, walk
from oopsight.text import c_string

if TYPE_CHECKING:
    from oopsight.shell import Shell

_KERNEL_IMAGE = 0xFFFFFFFF80000000


def levels(shell: Shell) -> int:
    """Levels of the page tables: 4, or 5 where the machine uses 57-bit addresses."""
    if "levels" not in shell.cache:
        info = c_string(shell.prog["VMCOREINFO"])
        found = 5 if b"NUMBER(pgtable_l5_enabled)=1" in info else 4
        shell.cache["levels"] = found
    return int(shell.cache["levels"])


def encryption_mask(shell: Shell) -> int:
    """The bit of physical addresses that stands for encrypted memory (AMD SME, SEV)."""
    try:
        return int(shell.prog["sme_me_mask"].value_())
    except readable_errors():
        return 0


def physical_base(shell: Shell) -> int:
    """Where the kernel's image lies in physical memory, less its own offset."""
    import re

    info = c_string(shell.prog["VMCOREINFO"]).decode("ascii", "replace")
    found = re.search(r"^NUMBER\(phys_base\)=(-?\d+)", info, re.MULTILINE)
    if found:
        return int(found.group(1))
    return int(shell.prog.read_u64(shell.prog.symbol("phys_base").address))


def translate(shell: Shell, mm: Any, address: int) -> Walk:
    """Walk the page tables of a ``struct mm_struct *``.

    :raises drgn.FaultError: if the mm_struct cannot be read
    :raises NotImplementedError: on machines other than x86-64
    """
    from drgn import Architecture
    from drgn.helpers.linux.mm import virt_to_phys

    prog = shell.prog
    if prog.platform is None or prog.platform.arch != Architecture.X86_64:
        raise ValueError("page tables are walked on x86-64 only")
    key = ("pgd", mm.value_())
    if key not in shell.cache:
        pgd = int(mm.pgd.value_())
        if pgd >= _KERNEL_IMAGE:
            # The kernel's own tables lie in its image (arch/x86/include/asm/page_64.h).
            shell.cache[key] = pgd - _KERNEL_IMAGE + physical_base(shell)
        else:
            shell.cache[key] = int(virt_to_phys(prog, pgd).value_())
    top = shell.cache[key]
    return walk(
        lambda place: int(prog.read_u64(place, physical=True)),
        top,
        address,
        levels(shell),
        encrypted=encryption_mask(shell),
    )
