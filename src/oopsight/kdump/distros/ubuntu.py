"""Ubuntu: as Debian, with its meta package linux-crashdump."""

from __future__ import annotations

from oopsight.kdump.distros.debian import Debian


class Ubuntu(Debian):
    """Ubuntu 20.04 and later."""

    ids: tuple[str, ...] = ("ubuntu",)
    packages: tuple[str, ...] = ("linux-crashdump", "kdump-tools", "kexec-tools", "makedumpfile")


DISTRO = Ubuntu()
