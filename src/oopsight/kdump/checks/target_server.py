"""The server of a network target: answers now, and lets this host in without a password."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, fail, ok, unknown
from oopsight.kdump.target import Kind

PORTS = {Kind.NFS: 2049, Kind.SSH: 22}


def check(host: Host) -> Result:
    """Connect to the server's port; look for the key of an SSH target."""
    target = host.distro.target(host.root)
    server = target.server
    if server is None:
        return ok("no server is needed")
    if target.kind is Kind.SSH and target.key and not host.root.exists(target.key):
        return fail(
            f"the key {target.key} does not exist",
            "the capture environment cannot log in at the server",
            f"ssh-keygen -N '' -f {target.key}, and give the public part to {target.where}",
        )
    port = PORTS[target.kind]
    answer = host.probe.connects(server, port)
    if answer is None:
        return unknown(f"whether {server} answers cannot be tried from here")
    if not answer:
        return fail(
            f"{server} does not answer at TCP port {port}",
            "the dump has no place to go",
            "see to the server, its firewall and its name; or choose another target",
        )
    return ok(f"{server} answers at TCP port {port}")
