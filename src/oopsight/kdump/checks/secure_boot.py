"""Secure Boot and lockdown: then only a signed capture kernel may be loaded, by kexec_file_load."""

from __future__ import annotations

import re

from oopsight.kdump import pe
from oopsight.kdump.checks import Host, Result, fail, ok


def check(host: Host) -> Result:
    """Tell whether lockdown stands in the way of what is configured."""
    text = host.root.read("/sys/kernel/security/lockdown") or ""
    match = re.search(r"\[(\w+)\]", text)
    mode = match[1] if match else "none"
    secure = [
        content
        for path in host.root.glob("/sys/firmware/efi/efivars/SecureBoot-*")
        if (content := host.root.read_bytes(path)) is not None
    ]
    is_secure = any(len(content) > 4 and content[4] == 1 for content in secure)
    state = f"lockdown {mode}, Secure Boot {'on' if is_secure else 'off'}"
    if mode == "none" and not is_secure:
        return ok(state)
    kernel = next(
        (
            path
            for path in host.distro.capture_kernels(host.machine.kernel)
            if host.root.exists(path)
        ),
        None,
    )
    signed = pe.is_signed(host.root.read_bytes(kernel) or b"") if kernel else None
    if signed is False:
        return fail(
            f"{state}, and the capture kernel {kernel} is not signed",
            "the kernel refuses to load it",
            "use the distribution's signed kernel, or sign it and enrol the key (mokutil)",
        )
    if host.machine.loaded is False:
        return fail(
            f"{state}, and no capture kernel is loaded",
            "the kernel refuses an unsigned capture kernel and the old kexec_load call",
            "use the distribution's signed kernel and kexec -s (KEXEC_ARGS, KDUMP_KEXEC_ARGS)",
        )
    return ok(f"{state}; a capture kernel is loaded all the same")
