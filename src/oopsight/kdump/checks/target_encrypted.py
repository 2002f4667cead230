"""A LUKS target: the capture environment cannot ask anyone for the passphrase."""

from __future__ import annotations

from oopsight.kdump import need
from oopsight.kdump.checks import Host, Result, ok, warn


def check(host: Host) -> Result:
    """Look for an encrypted device under the target."""
    block = need.luks_device(host)
    if block is None:
        return ok("the target is not encrypted")
    return warn(
        f"the target is on the encrypted device {block}",
        "unless the key is in the capture initrd, it waits for a passphrase and writes no dump",
        "choose a target that is not encrypted, such as a partition of its own or NFS",
    )
