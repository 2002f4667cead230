"""Boot entries beside grub.cfg, as systemd-boot and many cloud images have them.

They follow the Boot Loader Specification. A unified kernel image carries its command line inside,
signed with the rest; it can be read, but must be built anew to be changed.
"""

from __future__ import annotations

from oopsight.kdump import cmdline, pe, textfiles
from oopsight.kdump.host import Root

PARTITIONS = ("/boot", "/boot/efi", "/efi")
ENTRIES = "loader/entries/*.conf"
UNIFIED = "EFI/Linux/*.efi"
RESCUE = ("-rescue", "recovery")


def entries(root: Root) -> list[str]:
    """Return the paths of all boot entries but those to rescue the machine."""
    found = [path for place in PARTITIONS for path in root.glob(f"{place}/{ENTRIES}")]
    return [path for path in found if not any(word in path for word in RESCUE)]


def lines(root: Root) -> dict[str, str]:
    """Return the kernel command lines by the entry or image in which they stand."""
    found = {}
    for path in entries(root):
        options = textfiles.directives(root.read(path) or "").get("options")
        if options is not None:
            found[path] = options
    for path in (path for place in PARTITIONS for path in root.glob(f"{place}/{UNIFIED}")):
        content = pe.section(root.read_bytes(path) or b"", ".cmdline")
        if content is not None:
            found[path] = content.rstrip(b"\0").decode("utf-8", "replace").strip()
    return found


def edits(root: Root, crashkernel: str) -> dict[str, str]:
    """Return the boot entries with ``crashkernel=`` set, where they hold a whole command line."""
    found = {}
    for path in entries(root):
        text = root.read(path) or ""
        options = textfiles.directives(text).get("options", "")
        if options and "$" not in options:
            line = cmdline.set_crashkernel(options, crashkernel)
            found[path] = textfiles.set_directive(text, "options", line)
    return found
