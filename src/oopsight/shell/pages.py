"""Rows of ``struct page``: address, physical address, mapping, index, count, flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.output import Gap, readable_errors

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.output import Out

TITLE = "      PAGE       PHYSICAL      MAPPING       INDEX CNT FLAGS"


def flag_names(shell: Shell) -> list[tuple[int, str]]:
    """Bits of page flags and their names, from ``enum pageflags``."""
    if "page-flags" not in shell.cache:
        found: dict[int, str] = {}
        try:
            enumerators = shell.prog.type("enum pageflags").enumerators or ()
        except LookupError:
            enumerators = ()
        for item in enumerators:
            if item.name == "__NR_PAGEFLAGS":
                break
            found.setdefault(item.value, item.name)
        shell.cache["page-flags"] = sorted(found.items())
    result: list[tuple[int, str]] = shell.cache["page-flags"]
    return result


def all_flag_names(shell: Shell) -> list[tuple[int, str]]:
    """As :func:`flag_names`, with the other names that some bits have."""
    return flag_names(shell) + [
        (int(item.value), item.name)
        for item in shell.prog.type("enum pageflags").enumerators or ()
        if item.name != "__NR_PAGEFLAGS" and (item.value, item.name) not in flag_names(shell)
    ]


def flags_text(shell: Shell, flags: int) -> str:
    """Names of the flags that are set."""
    return ",".join(name.removeprefix("PG_") for bit, name in flag_names(shell) if flags >> bit & 1)


def page_row(shell: Shell, page: Any, out: Out) -> None:
    """Say one page.

    :param page: ``struct page *``
    """
    from drgn.helpers.linux.mm import page_to_phys

    physical = int(page_to_phys(page).value_())
    flags = out.got(lambda: page_flags(page), "flags")
    mapping = out.got(lambda: int(page.mapping.value_()), "mapping")
    index = out.got(lambda: _index(page), "index")
    count = out.got(lambda: int(page.member_("_refcount").counter.value_()), "count")
    names = "" if isinstance(flags, Gap) else flags_text(shell, flags)
    where = mapping if isinstance(mapping, Gap) else f"{mapping:x}"
    out.row(
        f"{page.value_():016x} {physical:8x} {where!s:>16} {index:8x} {count:>2} "
        f"{flags:x} {names}".rstrip(),
        page=Address(page.value_()),
        physical=Address(physical),
        mapping=mapping if isinstance(mapping, Gap) else Address(mapping),
        index=index,
        count=count,
        flags=flags if isinstance(flags, Gap) else Address(flags),
        names=names,
    )


def page_flags(page: Any) -> int:
    """The word of flags of a ``struct page *``."""
    value = page.flags
    try:
        return int(value.value_())
    except (TypeError, ValueError):
        # memdesc_flags_t since Linux 6.18 (commit 53fbef56e07d)
        return int(value.f.value_())


def _index(page: Any) -> int:
    try:
        return int(page.index.value_())
    except AttributeError:
        # renamed in Linux 6.16 (commit acc53a0b4c15)
        return int(page.member_("__folio_index").value_())


def page_of_virtual(shell: Shell, address: int) -> Any | None:
    """``struct page *`` of a kernel virtual address; ``None`` where it has none."""
    from drgn.helpers.linux.mm import follow_phys, phys_to_page, virt_to_page

    prog = shell.prog
    try:
        physical = follow_phys(prog["init_mm"].address_of_(), address)
        return phys_to_page(physical)
    except readable_errors():
        pass
    try:
        return virt_to_page(prog, address)
    except readable_errors():
        return None
