"""RHEL and its rebuilds: kexec-tools, ``/etc/kdump.conf``, boot entries of the BLS.

The files that ``grubby --update-kernel=ALL`` changes are edited directly, each replaced as a whole:
so the change can be shown before, and undone byte for byte after, which grubby offers neither of.
RHEL 8 keeps the command line in the environment block of GRUB (``kernelopts``), later ones in each
entry.
"""

from __future__ import annotations

import re

from oopsight.kdump import cmdline, loader, makedumpfile, textfiles
from oopsight.kdump.distros import Command, Distro, Wanted
from oopsight.kdump.errors import KdumpError
from oopsight.kdump.host import Root
from oopsight.kdump.target import Kind, Target

DEFAULT_GRUB = "/etc/default/grub"
KERNEL_CMDLINE = "/etc/kernel/cmdline"
GRUBENV = "/boot/grub2/grubenv"
SYSCONFIG = "/etc/sysconfig/kdump"
REMOVED = "hugepages hugepagesz slub_debug quiet log_buf_len swiotlb"
APPENDED = (
    "irqpoll nr_cpus=1 reset_devices cgroup_disable=memory mce=off numa=off udev.children-max=2 "
    "panic=10 acpi_no_memhotplug transparent_hugepage=never nokaslr"
)
# RHEL 9 begins with Linux 5.14; Oracle's own kernels of RHEL 8's age are 5.4.
AUTO_ENDS = (5, 14)
FILESYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "minix", "virtiofs")


class Rhel(Distro):
    """RHEL 8 and 9, CentOS Stream, Rocky, Alma, Oracle."""

    ids: tuple[str, ...] = ("rhel", "centos", "rocky", "almalinux", "ol")
    packages: tuple[str, ...] = ("kexec-tools", "makedumpfile")
    installer: tuple[str, ...] = ("dnf", "install", "--assumeyes", "--skip-broken")
    service = "kdump.service"
    config = "/etc/kdump.conf"

    def _values(self, root: Root) -> dict[str, str]:
        return textfiles.directives(root.read(self.config) or "")

    def target(self, root: Root) -> Target:
        """The one target directive, and ``path`` on it."""
        values = self._values(root)
        path = values.get("path") or "/var/crash"
        if "ssh" in values:
            key = values.get("sshkey") or "/root/.ssh/kdump_id_rsa"
            return Target(Kind.SSH, path=path, where=values["ssh"], key=key)
        if "nfs" in values:
            return Target(Kind.NFS, path=path, where=values["nfs"])
        if "raw" in values:
            return Target(Kind.DEVICE, path="", where=values["raw"], filesystem="raw")
        for name in FILESYSTEMS:
            if name in values:
                return Target(Kind.DEVICE, path=path, where=values[name], filesystem=name)
        return Target(Kind.PATH, path=path)

    def dump_level(self, root: Root) -> int:
        """``-d`` of core_collector; 31 if unset, 0 if it does not filter."""
        match = re.search(r"-d\s*(\d+)", self._collector(root))
        return int(match[1]) if match else 0

    def compression(self, root: Root) -> str | None:
        """As core_collector has it; lzo if unset."""
        return makedumpfile.compression(self._collector(root))

    def _collector(self, root: Root) -> str:
        return self._values(root).get("core_collector") or "makedumpfile -l -d 31"

    def rebuild(self, kernel: str) -> str:  # noqa: ARG002 - it is the running kernel's
        """A task of kdumpctl."""
        return "kdumpctl rebuild && kdumpctl restart"

    def capture_command_line(self, root: Root, line: str) -> str:
        """As kdumpctl makes it, from /etc/sysconfig/kdump."""
        values = textfiles.shell_values(root.read(SYSCONFIG) or "")
        remove = values.get("KDUMP_COMMANDLINE_REMOVE", REMOVED).split()
        base = values.get("KDUMP_COMMANDLINE") or line
        append = values.get("KDUMP_COMMANDLINE_APPEND") or APPENDED
        return f"{cmdline.without(base, ('crashkernel', *remove))} {append}"

    def capture_initrds(self, kernel: str) -> tuple[str, ...]:
        """Beside the kernel, or in /var/lib/kdump where /boot cannot be written."""
        return tuple(
            f"{folder}/initramfs-{kernel}kdump.img" for folder in ("/boot", "/var/lib/kdump")
        )

    def knows_auto(self, kernel: str) -> bool:
        """Up to RHEL 8, whose kernels are 4.18 or older."""
        match = re.match(r"(\d+)\.(\d+)", kernel)
        return match is not None and (int(match[1]), int(match[2])) < AUTO_ENDS

    def sources(self, root: Root) -> dict[str, str]:
        """What new kernels will get."""
        found = {}
        line = textfiles.shell_values(root.read(DEFAULT_GRUB) or "").get("GRUB_CMDLINE_LINUX")
        if line is not None:
            found[DEFAULT_GRUB] = line
        text = root.read(KERNEL_CMDLINE)
        if text is not None:
            found[KERNEL_CMDLINE] = text.strip()
        return found

    def boot_lines(self, root: Root) -> dict[str, str]:
        """The options of each boot entry, ``$kernelopts`` filled in; rescue entries left out."""
        kernelopts = _kernelopts(root.read(GRUBENV) or "") or ""
        return {
            path: options.replace("$kernelopts", kernelopts)
            for path, options in loader.lines(root).items()
        }

    def edits(self, root: Root, wanted: Wanted) -> dict[str, str]:
        """Boot entries, what new kernels get, and kdump.conf."""
        edits = loader.edits(root, wanted.crashkernel)
        environment = root.read(GRUBENV) or ""
        kernelopts = _kernelopts(environment)
        if kernelopts is not None:
            line = cmdline.set_crashkernel(kernelopts, wanted.crashkernel)
            edits[GRUBENV] = _set_kernelopts(environment, line)
        sources = self.sources(root)
        if DEFAULT_GRUB in sources:
            line = cmdline.set_crashkernel(sources[DEFAULT_GRUB], wanted.crashkernel)
            text = root.read(DEFAULT_GRUB) or ""
            if line != sources[DEFAULT_GRUB]:
                text = textfiles.set_shell_value(text, "GRUB_CMDLINE_LINUX", line)
            edits[DEFAULT_GRUB] = text
        if KERNEL_CMDLINE in sources:
            text = root.read(KERNEL_CMDLINE) or ""
            line = cmdline.set_crashkernel(sources[KERNEL_CMDLINE], wanted.crashkernel)
            edits[KERNEL_CMDLINE] = text if line == sources[KERNEL_CMDLINE] else line + "\n"
        edits[self.config] = self._kdump_conf(root, wanted.target)
        return edits

    def _kdump_conf(self, root: Root, target: Target) -> str:
        text = root.read(self.config) or ""
        if self.target(root) == target and text:
            return text
        for name in ("raw", "nfs", "ssh", "sshkey", *FILESYSTEMS):
            text = textfiles.drop_directive(text, name)
        if target.kind is Kind.DEVICE:
            text = textfiles.set_directive(text, target.filesystem, target.where)
        elif target.kind in {Kind.NFS, Kind.SSH}:
            text = textfiles.set_directive(text, target.kind.value, target.where)
        text = textfiles.set_directive(text, "path", target.path)
        if "core_collector" not in textfiles.directives(text):
            flat = "-F " if target.kind is Kind.SSH else ""
            collector = f"makedumpfile {flat}-l --message-level 7 -d 31"
            text = textfiles.set_directive(text, "core_collector", collector)
        return text

    def commands(self, root: Root) -> tuple[Command, ...]:  # noqa: ARG002 - the same on each
        """The service enabled; it builds its initrd by itself at the next boot."""
        return (Command(("systemctl", "enable", self.service)),)


def _kernelopts(environment: str) -> str | None:
    match = re.search(r"^kernelopts=(.*)$", environment, re.MULTILINE)
    return match[1] if match else None


def _set_kernelopts(environment: str, line: str) -> str:
    """Keep the block's length: GRUB writes into it in place and takes no other size."""
    length = len(environment)
    text = re.sub(
        r"^kernelopts=.*$", lambda _: f"kernelopts={line}", environment, flags=re.MULTILINE
    )
    text = text.rstrip("#")
    if len(text) > length:
        raise KdumpError(f"the command line does not fit into {GRUBENV}; shorten it")
    return text + "#" * (length - len(text))


DISTRO = Rhel()
