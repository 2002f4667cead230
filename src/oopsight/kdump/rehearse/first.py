"""The kernel that is to crash: its RAM disk holds the capture kernel, and what loads that.

Everything is the host's own: its shell, its mount and its kexec with their libraries. No program
of this RAM disk is run outside the virtual machine.
"""

from __future__ import annotations

import shlex

from oopsight.kdump import programs
from oopsight.kdump.cpio import Archive
from oopsight.kdump.distros import CaptureSystem
from oopsight.kdump.errors import KdumpError
from oopsight.kdump.host import Root

LOADED = "rehearsal: the capture kernel is loaded"
NOT_LOADED = "rehearsal: kexec cannot load the capture kernel"
TOOLS = ("sh", "mount", "kexec")
FOLDERS = ("proc", "sys", "dev", "run", "tmp")

INIT = """\
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
load() {{
	kexec "$@" --command-line={command_line} --initrd=/capture/initrd /capture/kernel
}}
if load -p || load -p -s; then
	echo "{loaded}"
	echo c >/proc/sysrq-trigger
fi
echo "{not_loaded}"
echo o >/proc/sysrq-trigger
while :; do read -r _; done
"""


def initrd(root: Root, capture: CaptureSystem, command_line: str) -> bytes:
    """Make the RAM disk.

    :param command_line: the capture kernel's
    :raises KdumpError: a program or a file of the host is missing
    """
    archive = Archive()
    for folder in FOLDERS:
        archive.folder(folder)
    for name in TOOLS:
        path = programs.find(root, name)
        if path is None:
            raise KdumpError(f"{name} is not installed on the host; see kdump status", 7)
        for place, content in programs.closure(root, path).items():
            archive.file(place, content)
    shell = programs.find(root, "sh")
    if shell != "/bin/sh":
        archive.link("bin/sh", shell or "")
    for place, path in (("kernel", capture.kernel), ("initrd", capture.initrd)):
        image = root.read_bytes(path)
        if image is None:
            raise KdumpError(f"{path} cannot be read: rehearse as root")
        archive.file(f"capture/{place}", image, 0o644)
    script = INIT.format(
        command_line=shlex.quote(command_line), loaded=LOADED, not_loaded=NOT_LOADED
    )
    archive.file("init", script.encode())
    return archive.to_bytes()
