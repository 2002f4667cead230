"""SUSE: the package kdump, ``/etc/sysconfig/kdump``, GRUB from ``/etc/default/grub``."""

from __future__ import annotations

import re

from oopsight.kdump import cmdline, textfiles
from oopsight.kdump.distros import Command, Distro, Wanted, grub_lines
from oopsight.kdump.errors import KdumpError
from oopsight.kdump.host import Root
from oopsight.kdump.target import Kind, Target

DEFAULT_GRUB = "/etc/default/grub"
GRUB_CFG = "/boot/grub2/grub.cfg"
DROPPED = ("crashkernel", "mem", "hugepages", "hugepagesz", "splash", "root", "rootflags")
APPENDED = (
    "reset_devices acpi_no_memhotplug cgroup_disable=memory nokaslr numa=off irqpoll nr_cpus=1 "
    "root=kdump rootflags=bind rd.udev.children-max=8 panic=1"
)
FORMATS = {"compressed": "zlib", "lzo": "lzo", "snappy": "snappy", "zstd": "zstd"}
VARIABLE = "GRUB_CMDLINE_LINUX_DEFAULT"


class Suse(Distro):
    """SLES 15 and openSUSE."""

    ids: tuple[str, ...] = (
        "sles",
        "sles_sap",
        "opensuse-leap",
        "opensuse-tumbleweed",
        "opensuse",
        "suse",
    )
    packages: tuple[str, ...] = ("kdump", "kexec-tools", "makedumpfile")
    installer: tuple[str, ...] = ("zypper", "--non-interactive", "install")
    service = "kdump.service"
    config = "/etc/sysconfig/kdump"

    def _values(self, root: Root) -> dict[str, str]:
        return textfiles.shell_values(root.read(self.config) or "")

    def target(self, root: Root) -> Target:
        """KDUMP_SAVEDIR, a path or a URL."""
        text = self._values(root).get("KDUMP_SAVEDIR") or "/var/crash"
        scheme, separator, rest = text.partition("://")
        if not separator:
            return Target(Kind.PATH, path=text)
        if scheme == "file":
            return Target(Kind.PATH, path=rest)
        server, _, path = rest.partition("/")
        if scheme == "nfs":
            return Target(Kind.NFS, path="", where=f"{server}:/{path}")
        if scheme in {"ssh", "sftp", "scp"}:
            key = self._values(root).get("KDUMP_SSH_IDENTITY", "").split(" ")[0]
            return Target(Kind.SSH, path="/" + path, where=server, key=key)
        return Target(Kind.OTHER, path="", where=text)

    def dump_level(self, root: Root) -> int:
        """KDUMP_DUMPLEVEL, 31 if unset."""
        text = self._values(root).get("KDUMP_DUMPLEVEL") or "31"
        return int(text) if text.isdecimal() else 0

    def compression(self, root: Root) -> str | None:
        """KDUMP_DUMPFORMAT; lzo if unset."""
        form = (self._values(root).get("KDUMP_DUMPFORMAT") or "lzo").lower()
        return FORMATS.get(form)

    def rebuild(self, kernel: str) -> str:  # noqa: ARG002 - it is the running kernel's
        """Its own program builds it."""
        return "mkdumprd -f && systemctl restart kdump"

    def capture_kernels(self, kernel: str) -> tuple[str, ...]:
        """The one that the link leads to, since SP4."""
        return ("/var/lib/kdump/kernel", *super().capture_kernels(kernel))

    def capture_command_line(self, root: Root, line: str) -> str:
        """As kdump(5) says that it is made."""
        values = self._values(root)
        base = values.get("KDUMP_COMMANDLINE") or f"{cmdline.without(line, DROPPED)} {APPENDED}"
        return f"{base} {values.get('KDUMP_COMMANDLINE_APPEND', '')}".rstrip()

    def capture_initrds(self, kernel: str) -> tuple[str, ...]:
        """Since SP4 in /var/lib/kdump, before beside the kernel."""
        return ("/var/lib/kdump/initrd", f"/boot/initrd-{kernel}-kdump")

    def sources(self, root: Root) -> dict[str, str]:
        """``/etc/default/grub``."""
        values = textfiles.shell_values(root.read(DEFAULT_GRUB) or "")
        line = " ".join(values.get(name, "") for name in ("GRUB_CMDLINE_LINUX", VARIABLE))
        return {DEFAULT_GRUB: line} if line.strip() else {}

    def boot_lines(self, root: Root) -> dict[str, str]:
        """What grub2-mkconfig wrote."""
        return grub_lines(root, GRUB_CFG)

    def edits(self, root: Root, wanted: Wanted) -> dict[str, str]:
        """The command line for GRUB, and the place for dumps."""
        text = root.read(DEFAULT_GRUB) or ""
        values = textfiles.shell_values(text)
        current = values.get(VARIABLE, "")
        line = cmdline.set_crashkernel(current, wanted.crashkernel)
        if line != current:
            text = textfiles.set_shell_value(text, VARIABLE, line)
        if cmdline.parameters(values.get("GRUB_CMDLINE_LINUX", ""), "crashkernel"):
            text = re.sub(
                r"^(GRUB_CMDLINE_LINUX=.*?)\s?crashkernel=[^\s\"']*",
                r"\1",
                text,
                flags=re.MULTILINE,
            )
        config = root.read(self.config) or ""
        if self.target(root) != wanted.target or not config:
            config = textfiles.set_shell_value(config, "KDUMP_SAVEDIR", _url(wanted.target))
        return {DEFAULT_GRUB: text, self.config: config}

    def commands(self, root: Root) -> tuple[Command, ...]:
        """grub2-mkconfig, and the service enabled."""
        make = Command(("grub2-mkconfig", "-o", GRUB_CFG), rewrites=(GRUB_CFG,))
        enable = Command(("systemctl", "enable", self.service))
        return (make, enable) if root.exists(GRUB_CFG) else (enable,)


def _url(target: Target) -> str:
    if target.kind is Kind.PATH:
        return target.path
    if target.kind is Kind.NFS:
        server, _, path = target.where.rpartition(":")
        return f"nfs://{server}{path}"
    if target.kind is Kind.SSH:
        return f"ssh://{target.where}{target.path}"
    raise KdumpError(
        "kdump of SUSE writes to a folder, NFS or SSH; mount the device and give it", 2
    )


DISTRO = Suse()
