"""Regions mapped by vmalloc, and pages by number or flag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.output import Gap, readable_errors
from oopsight.shell.pages import (
    TITLE,
    all_flag_names,
    flag_names,
    flags_text,
    page_of_virtual,
    page_row,
)

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.output import Out

_VM_TITLE = "   VMAP_AREA         VM_STRUCT                 ADDRESS RANGE                SIZE"
MOST_AREAS = 4_000_000
MOST_PAGES = 1 << 32


def show_vmalloc(shell: Shell, out: Out, only: int | None = None) -> bool:
    """``kmem -v``; whether a region was shown."""
    from drgn.helpers.linux.mm import for_each_vmap_area

    shown = False
    if only is None:
        out.line(_VM_TITLE)
    for area in out.walk(for_each_vmap_area(shell.prog), "regions of vmalloc", MOST_AREAS):
        with out.item(f"region {area.value_():x}"):
            start, end = int(area.va_start.value_()), int(area.va_end.value_())
            if only is not None and not start <= only < end:
                continue
            vm = int(area.vm.value_())
            if not vm:
                continue
            if only is not None:
                out.line(_VM_TITLE)
            shown = True
            out.row(
                f"{area.value_():016x}  {vm:016x}  {start:016x} - {end:016x}  {end - start:7}",
                vmap_area=Address(area.value_()),
                vm_struct=Address(vm),
                start=Address(start),
                end=Address(end),
                size=end - start,
            )
    return shown


def show_flags(shell: Shell, out: Out, value: int | None) -> None:
    """``kmem -g``: bits of page flags, or what a value of them means."""
    if value is not None:
        out.line(f"FLAGS: {value:x}")
    out.line(
        "  PAGE-FLAG        BIT  VALUE"
        if value is not None
        else "PAGE-FLAG              BIT  VALUE"
    )
    names = flag_names(shell) if value is not None else all_flag_names(shell)
    for bit, name in names:
        if value is not None and not value >> bit & 1:
            continue
        pad = "  " if value is not None else ""
        out.row(f"{pad}{name:<22} {bit:3}  {1 << bit:07x}", name=name, bit=bit)


def page_of(shell: Shell, address: int, *, physical: bool) -> Any | None:
    """``struct page *`` of a page's own address, a virtual or a physical one."""
    from drgn import Object, sizeof
    from drgn.helpers.linux.mm import phys_to_page

    prog = shell.prog
    if physical or not address >> 47:
        return phys_to_page(prog, address)
    try:
        base = int(prog["vmemmap_base"].value_())
    except (LookupError, KeyError):
        base = 0xFFFFEA0000000000
    size = sizeof(prog.type("struct page"))
    try:
        end = base + (int(prog["max_pfn"].value_()) + 1) * size
    except readable_errors():
        end = base + (1 << 40)
    if base <= address < end:
        return Object(prog, "struct page *", address - (address - base) % size)
    return page_of_virtual(shell, address)


def show_page(shell: Shell, address: int, out: Out, *, physical: bool) -> bool:
    """``kmem -p ADDRESS``; whether there is such a page."""
    page = page_of(shell, address, physical=physical)
    if page is None:
        return False
    out.line(TITLE)
    page_row(shell, page, out)
    return True


def show_pages(shell: Shell, out: Out) -> None:
    """``kmem -p``: every page there is."""
    from drgn.helpers.linux.mm import for_each_valid_pfn_and_page

    out.line(TITLE)
    fast = _FastRow(shell)
    for pfn, page in out.walk(for_each_valid_pfn_and_page(shell.prog), "pages", MOST_PAGES):
        text, row = fast.row(pfn, page, out)
        out.row(text, **row)


class _FastRow:
    """A page's line from its bytes at once: there are millions of them."""

    def __init__(self, shell: Shell) -> None:
        from drgn import offsetof, sizeof

        self.shell = shell
        self.page = shell.prog.type("struct page")
        self.size = sizeof(self.page)
        self.at = {}
        for key, names in {
            "flags": ("flags",),
            "mapping": ("mapping",),
            "index": ("index", "__folio_index"),
            "count": ("_refcount",),
        }.items():
            for name in names:
                try:
                    self.at[key] = offsetof(self.page, name)
                except LookupError:
                    continue
                break
        self.names: dict[int, str] = {}
        self.mask = (1 << (max(bit for bit, _ in flag_names(shell)) + 1)) - 1

    def row(self, pfn: int, page: Any, out: Out) -> tuple[str, dict[str, Any]]:
        address = page.value_()
        data = out.got(lambda: self.shell.session.read(address, self.size), "page")
        if isinstance(data, Gap):
            return f"{address:016x} {pfn << 12:8x} {data}: {data.why}", {"page": Address(address)}

        def word(key: str, size: int) -> int:
            at = self.at[key]
            return int.from_bytes(data[at : at + size], "little")

        flags = word("flags", 8)
        kept = flags & self.mask
        if kept not in self.names:
            self.names[kept] = flags_text(self.shell, kept)
        mapping, index, count = word("mapping", 8), word("index", 8), word("count", 4)
        text = f"{address:016x} {pfn << 12:8x} {mapping:16x} {index:8x} {count:2} {flags:x} {self.names[kept]}"  # noqa: E501  # one row
        row = {"page": Address(address), "physical": Address(pfn << 12), "mapping": Address(mapping),  # noqa: E501
               "index": index, "count": count, "flags": Address(flags)}  # fmt: skip
        return text.rstrip(), row


def show_members(
    shell: Shell, names: list[str], address: int | None, out: Out, *, physical: bool
) -> None:  # one signature
    """``kmem -m MEMBER,…``: chosen members of pages."""
    from drgn.helpers.linux.mm import for_each_valid_pfn_and_page

    from oopsight.shell.gdbformat import Format
    from oopsight.shell.types import member_of

    out.line(f"      PAGE        {'  '.join(names)}")
    form = Format(shell.names, out, hexadecimal=True)

    def one(page: Any) -> None:
        values = [
            out.got(lambda n=name: _flat(form.value(member_of(page, n))), name)  # type: ignore[misc]
            for name in names
        ]
        out.row(
            f"{page.value_():016x}  {'  '.join(map(str, values))}",
            page=Address(page.value_()),
            values=values,
        )  # one row

    if address is not None:
        found = page_of(shell, address, physical=physical)
        if found is not None:
            one(found)
        return
    for _, page in out.walk(for_each_valid_pfn_and_page(shell.prog), "pages", MOST_PAGES):
        with out.item(f"page {page.value_():x}"):
            one(page)


def _flat(text: str) -> str:
    return " ".join(text.split())
