"""Display device data: character and block devices, I/O ports, PCI, disks.

Examples
    crash> dev
    crash> dev -p
    crash> dev -i
    crash> dev -d

What drivers saved of their devices when the machine went down, and one of these as a file:

    crash> dev -V
    crash> dev -v 0 /tmp/cxgb4.bin
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from oopsight.errors import OutputError, UsageError
from oopsight.evidence import Address
from oopsight.shell.memory import dump
from oopsight.shell.output import Gap, readable_errors
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "dev [-i | -p | -d | -D ] [-V | -v index [file]]"
OPTIONS = {
    "-i": "I/O ports and I/O memory",
    "-p": "PCI devices",
    "-d": "disks with their requests in flight",
    "-D": "as -d, only disks with requests in flight",
    "-V": "device dumps in the vmcore",
    "-v INDEX": "one of them, or to a file",
}
DRGN = ("-i", "-d", "-p")
MOST = 100_000
MOST_SHOWN = 1 << 20
"""Bytes of a device dump."""


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show the table asked for."""
    if args.has("-V", "-v"):
        _device_dumps(shell, args, out)
    elif args.has("-i"):
        _ports(shell, out)
    elif args.has("-p"):
        _pci(shell, out)
    elif args.has("-d", "-D"):
        _disks(shell, out, busy=args.has("-D"))
    else:
        _characters(shell, out)
        out.line()
        _blocks(shell, out)


def _device_dumps(shell: Shell, args: Args, out: Out) -> None:
    """The list, or one of them: as numbers, or written to a file."""
    from oopsight.dump.device_dumps import device_dumps

    path = shell.session.info.path
    found = device_dumps(path)
    if not found:
        out.line("dev: no device dumps found in this dumpfile")
        return
    if args.has("-V"):
        out.line("INDEX      OFFSET        SIZE      NAME")
        for index, one in enumerate(found):
            out.row(
                f"{index:>5}  {one.offset:#12x}  {one.size:>10}  {printable(one.name)}",
                index=index,
                offset=one.offset,
                size=one.size,
                name=one.name,
            )
        return
    word = args.value("-v") or ""
    if not word.isdecimal() or int(word) >= len(found):
        raise UsageError(f"{word}: no device dump has this index; dev -V lists them")
    chosen = found[int(word)]
    with path.open("rb") as file:
        file.seek(chosen.offset)
        if args.rest:
            _copy(file, chosen.size, Path(args.rest[0]).expanduser(), out)
            return
        data = file.read(min(chosen.size, MOST_SHOWN))
    dump(lambda at, size: data[at : at + size], 0, len(data), 1, out)
    if len(data) < chosen.size:
        out.line(f"not shown beyond {len(data)} bytes; dev -v {word} FILE writes all")


def _copy(source: BinaryIO, size: int, target: Path, out: Out) -> None:
    left = size
    try:
        with target.open("xb") as file:
            while left and (piece := source.read(min(left, 1 << 20))):
                left -= file.write(piece)
    except OSError as error:
        raise OutputError(f"{target}: {error.strerror or error}") from None
    out.line(f"{size - left} bytes written to {target}")


def _chain(head: Any, link: str = "next") -> Iterator[Any]:
    """A list linked by pointers."""
    entry = head.read_()
    seen: set[int] = set()
    while entry and entry.value_() not in seen and len(seen) < MOST:
        seen.add(entry.value_())
        yield entry
        entry = entry.member_(link).read_()


def _row(
    shell: Shell, major: int, name: Any, place: int | Gap, operations: int | Gap, out: Out
) -> None:  # one signature
    if isinstance(place, Gap) or isinstance(operations, Gap) or place:
        text = (
            ""
            if not isinstance(operations, int) or not operations
            else shell.names.text(operations)
        )
        out.row(
            f"{major:4}      {name!s:<15}{place:016x}  {text}",
            major=major,
            name=name,
            device=place,
            operations=text,
        )  # one row
    else:
        out.row(f"{major:4}      {name!s:<15}     (none)     ", major=major, name=name, device=None)


def _characters(shell: Shell, out: Out) -> None:
    prog = shell.prog
    out.line("CHRDEV    NAME                 CDEV        OPERATIONS      ")
    rows = []
    for head in prog["chrdevs"]:
        for entry in out.walk(_chain(head), "character devices", MOST):
            with out.item(f"character device {entry.value_():x}"):
                rows.append((int(entry.major.value_()), int(entry.baseminor.value_()), entry))
    rows.sort(key=lambda row: row[0])
    for major, minor, entry in rows:
        name = out.got(lambda e=entry: printable(c_string(e.member_("name"))), "name")  # type: ignore[misc]
        cdev = out.got(lambda e=entry, m=minor: _cdev(shell, e, m), "cdev")  # type: ignore[misc]
        operations = out.got(lambda c=cdev: _operations(shell, c), "ops")  # type: ignore[misc]
        _row(shell, major, name, cdev, operations, out)


def _cdev(shell: Shell, entry: Any, minor: int) -> int:
    """The ``struct cdev`` of a region, as cdev_map has it."""
    found = int(entry.cdev.value_())
    if found:
        return found
    major = int(entry.major.value_())
    number = major << 20 | minor
    probe = shell.prog["cdev_map"].probes[major % 255].read_()
    for _ in range(MOST):
        if not probe:
            return 0
        start = int(probe.dev.value_())
        if start <= number < start + int(probe.range.value_()):
            return int(probe.data.value_())
        probe = probe.next.read_()
    return 0


def _operations(shell: Shell, cdev: int | Gap) -> int:
    from drgn import Object

    if isinstance(cdev, Gap) or not cdev:
        return 0
    return int(Object(shell.prog, "struct cdev *", cdev).ops.value_())


def _blocks(shell: Shell, out: Out) -> None:
    out.line("BLKDEV    NAME                GENDISK      OPERATIONS      ")
    disks: dict[int, Any] = {}
    for disk in _all_disks(shell, out):
        try:
            disks.setdefault(int(disk.major.value_()), disk)
        except readable_errors():
            continue
    for head in shell.prog["major_names"]:
        for entry in out.walk(_chain(head), "block devices", MOST):
            with out.item(f"block device {entry.value_():x}"):
                major = int(entry.major.value_())
                name = printable(c_string(entry.member_("name")))
                disk = disks.get(major)
                place = int(disk.value_()) if disk is not None else 0
                operations = int(disk.fops.value_()) if disk is not None else 0
                _row(shell, major, name, place, operations, out)


def _all_disks(shell: Shell, out: Out) -> Iterator[Any]:
    from drgn.helpers.linux.block import for_each_disk

    return out.walk(for_each_disk(shell.prog), "disks", MOST)


def _disks(shell: Shell, out: Out, *, busy: bool) -> None:
    from drgn.helpers.linux.block import disk_name

    out.line("MAJOR GENDISK            NAME       REQUEST_QUEUE      TOTAL  READ WRITE ")
    for disk in _all_disks(shell, out):
        with out.item(f"disk {disk.value_():x}"):
            read, write = _in_flight(disk)
            if busy and not read + write:
                continue
            name = printable(disk_name(disk))
            queue = int(disk.queue.value_())
            out.row(
                f"{int(disk.major.value_()):5} {disk.value_():016x}   {name:<10} {queue:016x}   "
                f"{read + write:5} {read:5} {write:5} ",
                major=int(disk.major.value_()),
                disk=Address(disk.value_()),
                name=name,
                queue=Address(queue),
                reads=read,
                writes=write,
            )


def _in_flight(disk: Any) -> tuple[int, int]:
    """Requests that were started and not completed, by their place in the tag sets."""
    from drgn.helpers.linux.sbitmap import sbitmap_for_each_set

    queue = disk.queue.read_()
    if not queue.mq_ops:
        return 0, 0
    counts = [0, 0]
    for index in range(min(int(queue.nr_hw_queues.value_()), 4096)):
        for hardware in _hardware(queue, index):
            tags = hardware.tags.read_()
            if not tags:
                continue
            for bit in sbitmap_for_each_set(tags.bitmap_tags.sb.address_of_()):
                request = tags.rqs[bit].read_()
                if not request or request.q.value_() != queue.value_():
                    continue
                if int(request.state.value_()) != 1:  # MQ_RQ_IN_FLIGHT
                    continue
                counts[int(request.cmd_flags.value_()) & 1] += 1
    return counts[0], counts[1]


def _hardware(queue: Any, index: int) -> Iterator[Any]:
    """A hardware context: in an XArray since Linux 5.18, in an array before and since 6.17."""
    try:
        yield queue.queue_hw_ctx[index].read_()
    except AttributeError:
        from drgn import cast
        from drgn.helpers.linux.xarray import xa_load

        entry = xa_load(queue.hctx_table.address_of_(), index)
        if entry:
            yield cast("struct blk_mq_hw_ctx *", entry)


def _ports(shell: Shell, out: Out) -> None:
    out.line("    RESOURCE        RANGE    NAME")
    _resources(shell, "ioport_resource", 4, out)
    out.line("\n    RESOURCE            RANGE        NAME")
    _resources(shell, "iomem_resource", 8, out)


def _resources(shell: Shell, root: str, digits: int, out: Out) -> None:
    stack = [shell.prog[root].address_of_()]
    seen: set[int] = set()
    while stack and len(seen) < MOST:
        resource = stack.pop()
        if not resource or resource.value_() in seen:
            continue
        seen.add(resource.value_())
        with out.item(f"resource {resource.value_():x}"):
            start, end = int(resource.start.value_()), int(resource.end.value_())
            name = printable(c_string(resource.name)) if resource.name else ""
            out.row(
                f"{resource.value_():016x}  {start:0{digits}x}-{end:0{digits}x}  {name}",
                resource=Address(resource.value_()),
                start=start,
                end=end,
                name=name,
            )
            # Children before siblings, as the tree is printed.
            if resource.value_() != shell.prog[root].address_:
                stack.append(resource.sibling.read_())
            stack.append(resource.child.read_())


def _pci(shell: Shell, out: Out) -> None:
    from drgn.helpers.linux.pci import for_each_pci_dev

    buses: dict[int, list[Any]] = {}
    for device in out.walk(for_each_pci_dev(shell.prog), "PCI devices", MOST):
        with out.item(f"PCI device {device.value_():x}"):
            bus = device.bus.read_()
            while bus.parent:
                bus = bus.parent.read_()
            buses.setdefault(bus.value_(), []).append(device)
    for address, devices in buses.items():
        with out.item(f"PCI bus {address:x}"):
            bus = devices[0].bus.read_()
            while bus.parent:
                bus = bus.parent.read_()
            out.line("    ROOT BUS     BUSNAME")
            out.line(f"{address:016x} {printable(c_string(bus.dev.kobj.name))}")
            out.line("      PCI DEV      DO:BU:SL.FN  CLASS   PCI_ID      TYPE   ")
        for device in devices:
            with out.item(f"PCI device {device.value_():x}", indent="  "):
                name = printable(c_string(device.dev.kobj.name))
                kind = int(device.member_("class").value_()) >> 8
                vendor, model = int(device.vendor.value_()), int(device.device.value_())
                type_ = _pci_type(device)
                out.row(
                    f"  {device.value_():016x} {name}  {kind:04x}  {vendor:04x}:{model:04x}  "
                    f"{type_} ",
                    device=Address(device.value_()),
                    name=name,
                    class_=f"{kind:04x}",
                    vendor=f"{vendor:04x}",
                    model=f"{model:04x}",
                    type=type_,
                )
        out.line()


# include/uapi/linux/pci_regs.h, PCI_EXP_TYPE_*
_PCI_TYPES = {0: "ENDPOINT", 1: "LEG_END", 4: "ROOT_PORT", 5: "UPSTREAM", 6: "DOWNSTREAM",
              7: "PCI_BRIDGE", 8: "PCIE_BRIDGE", 9: "RC_END", 10: "RC_EC"}  # fmt: skip


def _pci_type(device: Any) -> str:
    kind = int(device.pcie_flags_reg.value_()) >> 4 & 0xF
    return _PCI_TYPES.get(kind, str(kind))


def drgn_code(shell: Shell, args: Args) -> str:
    """Registered devices; resources, disks or PCI devices."""
    del shell
    if args.has("-i"):
        return """
for root in (prog["ioport_resource"], prog["iomem_resource"]):
    for resource in for_each_resource(root.address_of_()):
        print(hex(resource.start), hex(resource.end), resource.name.string_().decode())"""
    if args.has("-d"):
        return """
for disk in for_each_disk(prog):
    print(hex(disk), disk_name(disk).decode())"""
    if args.has("-p"):
        return """
for device in for_each_pci_dev(prog):
    print(hex(device), pci_name(device).decode())"""
    return """
for number, count, name, cdev in for_each_registered_chrdev(prog):
    print(MAJOR(number), name.decode())
for major, name, registered in for_each_registered_blkdev(prog):
    print(major, name.decode())"""
