"""Fedora: as RHEL 9; since Fedora 40 the service is in the package kdump-utils."""

from __future__ import annotations

from oopsight.kdump.distros.rhel import Rhel


class Fedora(Rhel):
    """Fedora 40 and later."""

    ids: tuple[str, ...] = ("fedora",)
    packages: tuple[str, ...] = ("kdump-utils", "kexec-tools", "makedumpfile")


DISTRO = Fedora()
