"""Display network devices, sockets and neighbours.

Examples
Devices with their addresses; the sockets of a task; the neighbour (ARP) table:

    crash> net
    crash> net -s 116
    crash> net -a

The sockets' structs whole; a number as an address:

    crash> net -S 116
    crash> net -N 1281101500
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.code import for_tasks
from oopsight.shell.numbers import hexadecimal
from oopsight.shell.output import Gap, readable_errors
from oopsight.shell.show import header
from oopsight.text import printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "net [[-s | -S] [-xd] [-R ref] [pid | task]] [-a] [ -n [pid | task]] [-N addr]"
OPTIONS = {
    "-a": "the neighbours (ARP)",
    "-n": "devices of the namespace of the current task, or of the one named",
    "-s": "sockets of the current task, or of the one named",
    "-S": "as -s, with struct socket and struct sock whole",
    "-N ADDR": "a number as an IPv4 address",
    "-R REF": "only the socket of this number or address",
    "-x": "numbers in hexadecimal",
    "-d": "numbers in decimal",
}
DRGN = ("-s", "-a")
_FAMILIES = {1: "UNIX", 2: "INET", 10: "INET6", 16: "NETLINK", 17: "PACKET", 38: "ALG", 40: "VSOCK"}
_TYPES = {1: "STREAM", 2: "DGRAM", 3: "RAW", 4: "RDM", 5: "SEQPACKET", 10: "PACKET"}
_STATES = ((1, "INCOMPLETE"), (2, "REACHABLE"), (4, "STALE"), (8, "DELAY"), (16, "PROBE"),
           (32, "FAILED"), (64, "NOARP"), (128, "PERMANENT"))  # fmt: skip
MOST = 1_000_000


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show what is asked for."""
    if args.has("-N"):
        _number(args.value("-N") or "", out)
    elif args.has("-a"):
        _neighbours(shell, out)
    elif args.has("-s", "-S"):
        for number, task in enumerate([shell.find_task(w) for w in args.rest] or [shell.task]):
            if number:
                out.line()
            _sockets(shell, task, args, out)
    else:
        space: Any = shell.prog["init_net"].address_of_()
        if args.has("-n"):
            task = shell.find_task(args.rest[0]) if args.rest else shell.task
            space = task.nsproxy.net_ns.read_()
        _devices(space, out)


def _number(word: str, out: Out) -> None:
    from oopsight.shell import CommandError

    value = int(word) if word.isdecimal() else hexadecimal(word)
    if value is None or value >> 32:
        raise CommandError(f"{word}: no number of 32 bits")
    # In memory the address is in network order.
    text = str(ipaddress.IPv4Address(value.to_bytes(4, "little")))
    out.row(text, address=text)


def _devices(space: Any, out: Out) -> None:
    from drgn.helpers.linux.net import (
        for_each_netdev,
        netdev_ipv4_addrs,
        netdev_ipv6_addrs,
        netdev_name,
    )

    out.line("   NET_DEVICE     NAME       IP ADDRESS(ES)")
    for device in out.walk(for_each_netdev(space), "network devices", MOST):
        name = out.got(lambda d=device: printable(netdev_name(d)), "name")  # type: ignore[misc]
        found: list[str] = []
        for addresses in (netdev_ipv4_addrs, netdev_ipv6_addrs):
            try:
                found += [str(a) for a in addresses(device)]
            except readable_errors() as error:
                from oopsight.shell.output import gap_from

                found.append(str(out.count(gap_from(error, "address"))))
        out.row(
            f"{device.value_():016x}  {name!s:<10} {', '.join(found)}",
            device=Address(device.value_()),
            name=name,
            addresses=found,
        )


def _neighbours(shell: Shell, out: Out) -> None:
    from drgn.helpers.linux.net import neigh_table_for_each_neighbor, netdev_name

    rows = []
    for table, size in (("arp_tbl", 4), ("nd_tbl", 16)):
        try:
            owner = shell.prog[table].nht.read_()
        except (KeyError, LookupError):
            continue
        for entry in out.walk(neigh_table_for_each_neighbor(owner), table, MOST):
            with out.item(f"neighbour {entry.value_():x}"):
                key = shell.session.read(entry.primary_key.address_, size)
                length = min(int(entry.dev.addr_len.value_()), 32)
                hardware = ":".join(
                    f"{b:02x}" for b in shell.session.read(entry.ha.address_, length)
                )
                state = int(entry.nud_state.value_())
                rows.append(
                    {
                        "neighbour": Address(entry.value_()),
                        "address": str(ipaddress.ip_address(key)),
                        "device": printable(netdev_name(entry.dev)),
                        "hardware": hardware,
                        "state": "|".join(n for bit, n in _STATES if state & bit) or "NONE",
                    }
                )
    if rows:
        out.line("NEIGHBOUR        IP ADDRESS      HW ADDRESS        DEVICE  STATE")
    for row in rows:
        out.row(
            f"{row['neighbour']:x} {row['address']:<15} {row['hardware']:<17} {row['device']:<7} "
            f"{row['state']}",
            **row,
        )


def _sockets(shell: Shell, task: Any, args: Args, out: Out) -> None:
    from drgn import cast
    from drgn.helpers.linux.fs import for_each_file

    from oopsight.shell import structs

    reference = args.value("-R")
    if reference is None:
        header(out, task)
    if not task.files:
        if reference is None:
            out.line("No open sockets.")
        return
    titled = False
    for fd, file in out.walk(for_each_file(task), "table of open files", MOST):
        mode = out.got(lambda f=file: int(f.f_inode.i_mode.value_()), "mode")  # type: ignore[misc]
        if isinstance(mode, Gap) or mode >> 12 != 0o14:
            continue
        with out.item(f"socket of fd {fd}"):
            socket = cast("struct socket *", file.private_data)
            sock = socket.sk.read_()
            if reference is not None:
                number = hexadecimal(reference)
                if reference != str(fd) and number not in (socket.value_(), sock.value_()):
                    continue
                if not titled:
                    header(out, task)
            if not titled and args.has("-s"):
                out.line(
                    "FD      SOCKET            SOCK       FAMILY:TYPE SOURCE-PORT DESTINATION-PORT"
                )
            titled = True
            if args.has("-S"):
                out.line("FD       SOCKET             SOCK      ")
                out.line(f"{fd:2}  {socket.value_():016x}  {sock.value_():016x}\n")
                structs.one(shell, socket[0], [], args, out)
                out.line()
                structs.one(shell, _whole(sock), [], args, out)
                continue
            family, kind, ends = _ends(socket, sock)
            out.row(
                f"{fd:2} {socket.value_():016x} {sock.value_():016x} {family}:{kind} {ends}",
                fd=fd,
                socket=Address(socket.value_()),
                sock=Address(sock.value_()),
                family=family,
                type=kind,
                ends=ends or None,
            )
    if not titled and reference is None:
        out.line("No open sockets.")


def _whole(sock: Any) -> Any:
    """The sock as its family's own type."""
    from drgn import cast

    family = int(sock.member_("__sk_common").skc_family.value_())
    if family in (2, 10):
        return cast("struct inet_sock *", sock)[0]
    return cast("struct unix_sock *", sock)[0] if family == 1 else sock[0]


def _ends(socket: Any, sock: Any) -> tuple[str, str, str]:
    common = sock.member_("__sk_common")
    number = int(common.skc_family.value_())
    kind = int(socket.type.value_())
    family, type_ = _FAMILIES.get(number, str(number)), _TYPES.get(kind, str(kind))
    if number == 2:
        sides = []
        for address, port in (("skc_rcv_saddr", None), ("skc_daddr", "skc_dport")):
            raw = int(common.member_(address).value_()).to_bytes(4, "little")
            sides.append(f"{ipaddress.IPv4Address(raw)}-{_port(common, port)}")
        return family, type_, " ".join(sides)
    if number == 10:
        sides = []
        for address, port in (("skc_v6_rcv_saddr", None), ("skc_v6_daddr", "skc_dport")):
            raw = common.member_(address).to_bytes_()
            sides.append(f"{ipaddress.IPv6Address(raw)}-{_port(common, port)}")
        return family, type_, " ".join(sides)
    return family, type_, ""


def _port(common: Any, member: str | None) -> int:
    """A port; one's own is kept in the host's order, the other's in the network's."""
    if member is None:
        return int(common.skc_num.value_())
    return int.from_bytes(int(common.member_(member).value_()).to_bytes(2, "little"), "big")


def drgn_code(shell: Shell, args: Args) -> str:
    """Devices, the sockets of a task, or neighbours."""
    if args.has("-s"):
        body = """
for fd, file in for_each_file(task):
    if file.f_inode.i_mode & 0o170000 == 0o140000:
        socket = SOCKET_I(file.f_inode)
        print(fd, hex(socket), hex(socket.sk))"""
        return for_tasks(shell, args.rest, body)
    if args.has("-a"):
        return """
for neighbour in neigh_table_for_each_neighbor(prog["arp_tbl"].address_of_()):
    print(hex(neighbour), neighbour.dev.name.string_().decode())"""
    return """
for device in for_each_netdev(prog["init_net"].address_of_()):
    print(hex(device), device.name.string_().decode(), *netdev_ipv4_addrs(device))"""
