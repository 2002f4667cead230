"""Display kernel memory: what it is used for, caches and their objects, pages, zones, regions.

An address alone is looked for everywhere: symbol, slab object, region of vmalloc, task, page. A
slab cache that is damaged is listed with what is known of it, and does not hide the others.

Examples
How the memory is used, and the slab caches:

    crash> kmem -i
    crash> kmem -s

The objects of one cache, in use in brackets:

    crash> kmem -S kmalloc-8k

Whose memory an address is:

    crash> kmem ffff8ebac28820c0

Regions of vmalloc, zones, free pages, counters:

    crash> kmem -v
    crash> kmem -z
    crash> kmem -f
    crash> kmem -V
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oopsight.evidence import Address
from oopsight.shell.kmem import regions, slabs, totals, zones
from oopsight.shell.numbers import cpus, hexadecimal
from oopsight.shell.output import Gap, readable_errors
from oopsight.shell.tasks import cpus_of
from oopsight.text import c_string

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = (
    "kmem [-f|-F|-c|-C|-i[=shared]|-v|-V|-n|-z|-o|-h] [-p | -m member[,member]]\n"
    "     [[-s|-S|-S=cpu[s]|-r] [slab] [-I slab[,slab]]] [-g [flags]] [[-P] address]"
)
OPTIONS = {
    "-f": "free lists, checked against the number of free pages",
    "-F": "as -f, with each page",
    "-c": "pages of the page cache by inode (the page hash table is gone since Linux 2.6)",
    "-C": "as -c, with each page",
    "-i[=shared]": "what memory is used for",
    "-v": "regions of vmalloc",
    "-V": "the kernel's counters of memory",
    "-n": "nodes, zones, sections and memory blocks",
    "-z": "each zone's sizes, watermarks and counters",
    "-o": "where each CPU's per-CPU area lies",
    "-h": "pools of huge pages",
    "-p": "every page, or that of an address",
    "-m MEMBER": "these members of every page, or of that of an address",
    "-s": "slab caches",
    "-S[=CPUS]": "slab caches with their objects",
    "-r": "root caches with their children's sums (before Linux 5.9)",
    "-I SLAB": "without these caches",
    "-g": "bits of page flags, or what a value of them means",
    "-P": "the address is physical",
}
DRGN = ("-i", "-v", "-V", "-z", "-o", "-g", "-s")


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show the tables asked for."""
    from oopsight.shell import CommandError

    number = hexadecimal(args.rest[0]) if args.rest else None
    if args.rest and number is None and not args.has("-s", "-S", "-r"):
        number = shell.address(args.rest[0])
    physical = args.has("-P")
    if args.has("-i"):
        totals.show(shell, out)
    if args.has("-n"):
        zones.show_nodes(shell, out)
    if args.has("-z"):
        zones.show_zones(shell, out)
    if args.has("-V"):
        zones.show_counters(shell, out)
    if args.has("-o"):
        zones.show_per_cpu(shell, out)
    if args.has("-h"):
        zones.show_huge(shell, out)
    if args.has("-f", "-F"):
        page = None if number is None else regions.page_of(shell, number, physical=physical)
        if number is not None and page is None:
            raise CommandError(f"{args.rest[0]}: no page")
        zones.show_free(
            shell, out, pages=args.has("-F"), only=None if page is None else page.value_()
        )
    if args.has("-c", "-C"):
        _page_cache(shell, out, pages=args.has("-C"))
    if args.has("-g"):
        regions.show_flags(shell, out, number)
    if args.has("-v") and not regions.show_vmalloc(shell, out, number) and number is not None:
        out.line(f"{number:x}: in no region of vmalloc")
    if args.has("-m"):
        regions.show_members(shell, args.values("-m"), number, out, physical=physical)
    if args.has("-p"):
        if number is None:
            regions.show_pages(shell, out)
        elif not regions.show_page(shell, number, out, physical=physical):
            out.line(f"{number:x}: no page belongs to this address")
    if args.has("-s", "-S", "-r"):
        _slabs(shell, args, out)
    if not [flag for flag, _ in args.given if flag != "-P"]:
        if number is None:
            raise CommandError(f"an option or an address is needed; usage: {SYNOPSIS}")
        _anywhere(shell, number, out, physical=physical)


def _slabs(shell: Shell, args: Args, out: Out) -> None:
    wanted = args.rest[0] if args.rest else None
    if wanted == "list":
        for cache in slabs.caches(shell, out):
            name, _ = slabs.name_of(cache, out)
            out.row(f"{cache.value_():x} {name}", cache=Address(cache.value_()), name=name)
        return
    address = hexadecimal(wanted) if wanted else None
    if wanted is not None and address is not None and address >> 47:
        if not slabs.show_object(shell, address, out):
            out.line(f"{address:x}: in no slab")
        return
    ignored = set(args.values("-I"))
    wanted = wanted.removeprefix("\\") if wanted else None
    found = 0
    if not args.has("-S"):
        out.line(slabs.TITLE)
    for cache in slabs.caches(shell, out):
        with out.item(f"cache {cache.value_():x}"):
            if wanted is not None or ignored:
                known = _plain_name(cache)
                if (wanted is not None and known != wanted) or known in ignored:
                    continue
            found += 1
            if args.has("-S"):
                if found > 1:
                    out.line()
                out.line(slabs.TITLE)
            slabs.cache_row(shell, cache, out)
            if args.has("-S"):
                spec = args.value("-S")
                every = cpus_of(shell.prog)
                slabs.show_cache(cache, out, cpus(spec, every) if spec else every)
    if wanted is not None and not found:
        out.line(f"no slab cache is named {wanted}; kmem -s list names them")


def _plain_name(cache: object) -> str | None:
    try:
        return str(c_string(cache.name).decode("utf-8", "replace"))  # type: ignore[attr-defined]
    except readable_errors():
        return None


def _page_cache(shell: Shell, out: Out, *, pages: bool) -> None:
    """Pages of files in memory, by inode of each super block."""
    from drgn.helpers.linux.fs import for_each_mount
    from drgn.helpers.linux.list import list_for_each_entry

    from oopsight.text import printable

    out.line("     INODE         NRPAGES  FILE SYSTEM")
    seen: set[int] = set()
    total = 0
    for mount in out.walk(for_each_mount(shell.prog), "mounts", 100_000):
        with out.item(f"mount {mount.value_():x}"):
            block = mount.mnt.mnt_sb.read_()
            if block.value_() in seen:
                continue
            seen.add(block.value_())
            kind = printable(c_string(block.s_type.name), 32)
            inodes = list_for_each_entry("struct inode", block.s_inodes.address_of_(), "i_sb_list")
            for inode in out.walk(inodes, "inodes", 10_000_000):
                count = out.got(lambda i=inode: int(i.i_mapping.nrpages.value_()), "nrpages")  # type: ignore[misc]
                if isinstance(count, Gap) or not count:
                    continue
                total += count
                out.row(
                    f"{inode.value_():016x} {count:9}  {kind}",
                    inode=Address(inode.value_()),
                    pages=count,
                    type=kind,
                )
                if pages:
                    command = shell.command("files")
                    if command is not None:
                        shell.call(command, ["-p", f"{inode.value_():x}"], "", out)
    out.line(f"page_cache_size: {total}")


def _anywhere(shell: Shell, address: int, out: Out, *, physical: bool) -> None:
    """Whose memory an address is."""
    from drgn.helpers.linux.mm import phys_to_virt

    virtual = address
    if physical or not address >> 47:
        virtual = int(phys_to_virt(shell.prog, address).value_())
    found = False
    named = shell.names.show(virtual)
    if named is not None and virtual >> 31 == 0x1FFFFFFFF:
        where = shell.names.of(virtual)
        letter = where.letter if where else "?"
        out.row(f"{virtual:x} ({letter}) {named}", address=Address(virtual), symbol=named)
        out.line()
        found = True
    try:
        if slabs.show_object(shell, virtual, out):
            out.line()
            found = True
    except readable_errors():
        pass
    if not found or (named and "[" in named):
        found |= _region(shell, virtual, out)
    found |= _task(shell, virtual, out)
    try:
        shown = regions.show_page(shell, address, out, physical=physical)
    except readable_errors():
        shown = False
    if not found and not shown:
        out.line(f"{address:x}: belongs to nothing that is known")


def _region(shell: Shell, virtual: int, out: Out) -> bool:
    try:
        if regions.show_vmalloc(shell, out, virtual):
            out.line()
            return True
    except readable_errors():
        pass
    return False


def _task(shell: Shell, address: int, out: Out) -> bool:
    """The task whose task_struct or stack holds the address."""
    from drgn import sizeof

    from oopsight.shell.commands.set import show_context
    from oopsight.shell.stack import stack_size

    size = sizeof(shell.prog.type("struct task_struct"))
    holders: list[tuple[int, object]] = []
    for task in shell.tasks():
        try:
            start = int(task.stack.value_())
        except readable_errors():
            start = 0
        # The end of a task_struct is not all used, and another may begin there.
        if task.value_() <= address < task.value_() + size:
            holders.append((task.value_(), task))
        elif start and start <= address < start + stack_size(shell):
            holders.append((start, task))
    if not holders:
        return False
    show_context(shell, max(holders, key=lambda row: row[0])[1], out)
    out.line()
    return True


_DRGN = {
    "-i": """
print("TOTAL MEM", totalram_pages(prog).value_())
print("FREE", nr_free_pages(prog))
print("COMMIT LIMIT", vm_commit_limit(prog))
print("COMMITTED", vm_memory_committed(prog))""",
    "-v": """
for area in for_each_vmap_area(prog):
    print(hex(area), hex(area.va_start), hex(area.va_end))""",
    "-V": """
for name, value in prog.type("enum zone_stat_item").enumerators[:-1]:
    print(name, prog["vm_zone_stat"][value].counter.value_())""",
    "-z": """
for node in for_each_online_pgdat(prog):
    for zone in node.node_zones:
        print(zone.name.string_().decode(), zone.present_pages.value_())""",
    "-o": """
for cpu in for_each_possible_cpu(prog):
    print(cpu, hex(prog["__per_cpu_offset"][cpu]))""",
}


def drgn_code(shell: Shell, args: Args) -> str:
    """By what is asked for."""
    from oopsight.shell.code import one_address

    for flag, text in _DRGN.items():
        if args.has(flag):
            return text
    if args.has("-g"):
        value = args.rest[0] if args.rest else "0"
        return f"print(decode_page_flags_value(prog, 0x{value}))"
    if args.has("-s"):
        only = (
            f"    if cache.name.string_() not in {[w.encode() for w in args.rest]}:\n"
            if args.rest
            else ""
        )
        only += "        continue\n" if only else ""
        return f"""
for cache in for_each_slab_cache(prog):
{only}    usage = slab_cache_usage(cache)
    print(hex(cache), cache.object_size.value_(), usage.num_objs, usage.num_slabs)"""
    return f"""
from drgn.helpers.common.memory import identify_address

print(identify_address(prog, {one_address(shell, args)}))"""
