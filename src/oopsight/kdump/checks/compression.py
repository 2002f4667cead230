"""The dump's compression: makedumpfile without it built in writes everything, silently."""

from __future__ import annotations

from oopsight.kdump import makedumpfile
from oopsight.kdump.checks import Host, Result, ok, unknown, warn


def check(host: Host) -> Result:
    """Compare the configured compression with those in the binary."""
    tool = makedumpfile.read(host.root)
    if tool is None:
        return unknown("which compressions makedumpfile has cannot be read")
    packed = host.distro.packed(host.root)
    if packed:
        return warn(
            f"dumps are packed as a whole with {packed} (KDUMP_COMPRESSION)",
            "nothing reads them as they are: no report is made after the reboot",
            f"take it out of {host.distro.config}: makedumpfile compresses by itself",
        )
    wanted = host.distro.compression(host.root)
    if wanted is None:
        return ok("dumps are not compressed", "they take about three times the space")
    if wanted not in tool.compressions:
        return warn(
            f"{wanted} is configured, which this {tool} was not built with",
            "the dump is written uncompressed or not at all, whichever the version does",
            f"choose one of {', '.join(sorted(tool.compressions))}",
        )
    return ok(f"dumps are compressed with {wanted}")
