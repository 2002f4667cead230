"""What makedumpfile leaves out: nothing left out makes the dump as big as the memory."""

from __future__ import annotations

from oopsight.kdump.checks import Host, Result, ok, warn

FREE_PAGES = 16


def check(host: Host) -> Result:
    """Read the configured dump level."""
    level = host.distro.dump_level(host.root)
    if not level & FREE_PAGES:
        return warn(
            f"the dump level is {level}: free pages are dumped too",
            "writing takes as long as all of the memory needs, in which a watchdog may strike",
            "set -d 31",
        )
    return ok(f"the dump level is {level}")
