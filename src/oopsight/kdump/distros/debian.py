"""Debian: kdump-tools, GRUB from ``/etc/default/grub.d``, initrds of its own in /var/lib/kdump."""

from __future__ import annotations

import re

from oopsight.kdump import cmdline, loader, makedumpfile, textfiles
from oopsight.kdump.distros import Command, Distro, Wanted, grub_lines
from oopsight.kdump.host import Root
from oopsight.kdump.target import Kind, Target

GRUB_PART = "/etc/default/grub.d/kdump-tools.cfg"
LAST_PART = "/etc/default/grub.d/zz-oopsight-kdump.cfg"
KERNEL_CMDLINE = "/etc/kernel/cmdline"
GRUB_CFG = "/boot/grub/grub.cfg"
DROPPED = ("crashkernel", "hugepages", "hugepagesz", "abm")
APPENDED = "reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll usbcore.nousb"
VARIABLE = "GRUB_CMDLINE_LINUX_DEFAULT"


class Debian(Distro):
    """Debian 11 and later."""

    ids: tuple[str, ...] = ("debian",)
    packages: tuple[str, ...] = ("kdump-tools", "kexec-tools", "makedumpfile")
    installer: tuple[str, ...] = ("apt-get", "install", "--yes")
    service = "kdump-tools.service"
    config = "/etc/default/kdump-tools"
    captures_in_root = True

    def _values(self, root: Root) -> dict[str, str]:
        return textfiles.shell_values(root.read(self.config) or "")

    def target(self, root: Root) -> Target:
        """NFS and SSH win over the folder, as in kdump-config."""
        values = self._values(root)
        path = values.get("KDUMP_COREDIR") or "/var/crash"
        if values.get("SSH"):
            key = values.get("SSH_KEY") or "/root/.ssh/kdump_id_rsa"
            return Target(Kind.SSH, path=path, where=values["SSH"], key=key)
        if values.get("NFS"):
            return Target(Kind.NFS, path=path, where=values["NFS"])
        if values.get("FTP"):
            return Target(Kind.OTHER, path=path, where=f"ftp:{values['FTP']}")
        return Target(Kind.PATH, path=path)

    def dump_level(self, root: Root) -> int:
        """``-d`` of MAKEDUMP_ARGS, 31 if unset."""
        match = re.search(r"-d\s*(\d+)", self._options(root))
        return int(match[1]) if match else 0

    def compression(self, root: Root) -> str | None:
        """As MAKEDUMP_ARGS has it; zlib if unset."""
        return makedumpfile.compression(self._options(root))

    def packed(self, root: Root) -> str | None:
        """KDUMP_COMPRESSION, which comes on top of makedumpfile's."""
        return self._values(root).get("KDUMP_COMPRESSION") or None

    def _options(self, root: Root) -> str:
        return self._values(root).get("MAKEDUMP_ARGS") or "-c -d 31"

    def rebuild(self, kernel: str) -> str:
        """kdump-config makes the missing ones when it loads."""
        return f"rm /var/lib/kdump/initrd.img-{kernel}; kdump-config unload; kdump-config load"

    def capture_initrds(self, kernel: str) -> tuple[str, ...]:
        """kdump-tools builds a small one for each kernel."""
        return (f"/var/lib/kdump/initrd.img-{kernel}",)

    def capture_kernels(self, kernel: str) -> tuple[str, ...]:
        """The one that the link leads to, which mostly is that of the system."""
        return ("/var/lib/kdump/vmlinuz", *super().capture_kernels(kernel))

    def capture_command_line(self, root: Root, line: str) -> str:
        """As kdump-config noted when it loaded; else made in the same way."""
        values = self._values(root)
        noted = root.read(f"{values.get('KDUMP_COREDIR') or '/var/crash'}/kexec_cmd")
        match = re.search(r'--command-line="([^"]*)"', noted or "")
        if match:
            return match[1]
        base = values.get("KDUMP_CMDLINE") or cmdline.without(line, DROPPED)
        return f"{base} {values.get('KDUMP_CMDLINE_APPEND') or APPENDED}"

    def switched_off(self, root: Root) -> str | None:
        """USE_KDUMP decides, whatever systemd says."""
        text = root.read(self.config)
        if text is not None and self._values(root).get("USE_KDUMP", "0") in {"", "0"}:
            return f"USE_KDUMP in {self.config} is not 1"
        return None

    def sources(self, root: Root) -> dict[str, str]:
        """``/etc/default/grub`` and the parts that add to it; /etc/kernel/cmdline without GRUB."""
        found = {}
        text = root.read(KERNEL_CMDLINE)
        if text is not None:
            found[KERNEL_CMDLINE] = text.strip()
        for path in self._grub_files(root):
            values = textfiles.shell_values(root.read(path) or "")
            line = " ".join(values.get(name, "") for name in ("GRUB_CMDLINE_LINUX", VARIABLE))
            if line.strip():
                found[path] = line
        return found

    def boot_lines(self, root: Root) -> dict[str, str]:
        """What update-grub wrote, and the entries of systemd-boot."""
        return {**grub_lines(root, GRUB_CFG), **loader.lines(root)}

    def effective_line(self, root: Root) -> str | None:
        """The parts of GRUB's configuration in their order: a later one may forget an earlier."""
        texts = [root.read(path) or "" for path in self._grub_files(root)]
        if not root.exists("/etc/default/grub"):
            return None
        values = textfiles.evaluate(texts)
        return f"{values.get('GRUB_CMDLINE_LINUX', '')} {values.get(VARIABLE, '')}"

    def _grub_files(self, root: Root) -> tuple[str, ...]:
        return ("/etc/default/grub", *root.glob("/etc/default/grub.d/*.cfg"))

    def edits(self, root: Root, wanted: Wanted) -> dict[str, str]:
        """The package's part of the GRUB configuration, and its own configuration."""
        edits = {**self._grub_parts(root, wanted), **loader.edits(root, wanted.crashkernel)}
        sources = self.sources(root)
        if KERNEL_CMDLINE in sources:
            line = cmdline.set_crashkernel(sources.pop(KERNEL_CMDLINE), wanted.crashkernel)
            edits[KERNEL_CMDLINE] = f"{line}\n"
        for path, line in sources.items():
            # A crashkernel= elsewhere would come later or earlier by chance: one place sets it.
            if path not in edits and cmdline.parameters(line, "crashkernel"):
                text = root.read(path) or ""
                edits[path] = _without_crashkernel(text)
        text = root.read(self.config) or ""
        values = {"USE_KDUMP": "1"}
        target = wanted.target
        if target != self.target(root) or target.kind is Kind.PATH:
            values["KDUMP_COREDIR"] = target.path
        current = textfiles.shell_values(text)
        servers = {
            "NFS": target.where if target.kind is Kind.NFS else "",
            "SSH": target.where if target.kind is Kind.SSH else "",
        }
        values |= {name: value for name, value in servers.items() if value or current.get(name)}
        for name, value in values.items():
            if current.get(name) != value:
                text = textfiles.set_shell_value(text, name, value)
        edits[self.config] = text
        return edits

    def _grub_parts(self, root: Root, wanted: Wanted) -> dict[str, str]:
        """The package's part; and one that comes last, where a later one forgets all before it."""
        part = self._grub_part(root, wanted)
        files = [path for path in self._grub_files(root) if path != LAST_PART]
        texts = {path: _without_crashkernel(root.read(path) or "") for path in files}
        texts[GRUB_PART] = part
        order = sorted(texts, key=lambda path: (path != "/etc/default/grub", path))
        line = textfiles.evaluate(texts[path] for path in order).get(VARIABLE, "")
        if cmdline.parameters(line, "crashkernel"):
            return {GRUB_PART: part}
        made = cmdline.set_crashkernel(f"${VARIABLE}", wanted.crashkernel)
        text = f'# The parts before this one set the variable anew.\n{VARIABLE}="{made}"\n'
        return {LAST_PART: text}

    def _grub_part(self, root: Root, wanted: Wanted) -> str:
        text = root.read(GRUB_PART) or f'{VARIABLE}="${VARIABLE}"\n'
        current = textfiles.shell_values(text).get(VARIABLE, f"${VARIABLE}")
        line = cmdline.set_crashkernel(current, wanted.crashkernel)
        # Written by hand: a quoting function would hide $VARIABLE from the shell.
        return re.sub(
            rf"^{VARIABLE}=.*$", lambda _: f'{VARIABLE}="{line}"', text, count=1, flags=re.MULTILINE
        )

    def commands(self, root: Root) -> tuple[Command, ...]:
        """update-grub, and kdump-tools enabled."""
        grub = (Command(("update-grub",), rewrites=(GRUB_CFG,)),) if root.exists(GRUB_CFG) else ()
        return (*grub, Command(("systemctl", "enable", self.service)))


def _without_crashkernel(text: str) -> str:
    return re.sub(r"[ \t]?(?<![\w-])crashkernel=[^\s\"']*", "", text)


DISTRO = Debian()
