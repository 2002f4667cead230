"""Every fault found by name on every distribution, and no false alarm on healthy hosts."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from trees import MAKEDUMPFILE, Tree, put_initrd, uefi_program

from oopsight.kdump import checks, status
from oopsight.kdump.checks import Level


def boot_config(tree: Tree) -> list[str]:
    roots = ("boot/grub", "boot/grub2", "boot/loader", "etc/default", "etc/kernel")
    return [
        "/" + str(path.relative_to(tree.folder))
        for root in roots
        for path in (tree.folder / root).rglob("*")
        if path.is_file() and "crashkernel=" in path.read_text()
    ]


def drop_crashkernel(tree: Tree, *, sources: bool) -> None:
    for path in boot_config(tree):
        if path.startswith("/etc/") == sources:
            tree.put(path, re.sub(r"crashkernel=[^\s\"]*", "", tree.text(path)))


def set_target(tree: Tree, kind: str) -> None:
    debian = {"nfs": 'NFS="store:/crash"', "ssh": 'SSH="kdump@store"'}
    rhel = {"nfs": "nfs store:/crash", "ssh": "ssh kdump@store"}
    suse = {"nfs": "nfs://store/crash", "ssh": "ssh://kdump@store/crash"}
    if tree.config == "/etc/default/kdump-tools":
        tree.put(tree.config, tree.text(tree.config) + debian[kind] + "\n")
    elif tree.config == "/etc/kdump.conf":
        tree.put(tree.config, tree.text(tree.config) + rhel[kind] + "\n")
    else:
        key = 'KDUMP_SSH_IDENTITY="/root/.ssh/id_kdump"\n'
        tree.put(tree.config, f'KDUMP_SAVEDIR="{suse[kind]}"\n{key}')


def not_configured(tree: Tree) -> None:
    drop_crashkernel(tree, sources=True)
    drop_crashkernel(tree, sources=False)


def nonsense(tree: Tree) -> None:
    for path in boot_config(tree):
        tree.put(path, re.sub(r"crashkernel=[^\s\"]*", "crashkernel=lots", tree.text(path)))


def range_misses(tree: Tree) -> None:
    for path in boot_config(tree):
        tree.put(path, re.sub(r"crashkernel=[^\s\"]*", "crashkernel=64G-:512M", tree.text(path)))


def too_small(tree: Tree) -> None:
    tree.put("/proc/iomem", "00100000-bfffffff : System RAM\n  90000000-93ffffff : Crash kernel\n")


def nothing_reserved(tree: Tree) -> None:
    tree.put("/proc/iomem", "00100000-bfffffff : System RAM\n")
    tree.put("/sys/kernel/kexec_crash_size", "0\n")


def disabled(tree: Tree) -> None:
    for path in (tree.folder / "etc/systemd/system").glob("*.wants/*"):
        path.unlink()


def masked(tree: Tree) -> None:
    tree.link(f"/etc/systemd/system/{tree.service}", "/dev/null")


def stale_link(tree: Tree) -> None:
    tree.link("/var/lib/kdump/vmlinuz", "/boot/vmlinuz-3.10.0-old")


def forbidden(tree: Tree) -> None:
    tree.put("/proc/sys/kernel/kexec_load_disabled", "1\n")
    tree.put("/sys/kernel/kexec_crash_loaded", "0\n")


def auto_unknown(tree: Tree) -> None:
    tree.put("/proc/sys/kernel/osrelease", "6.12.0-55.el10.x86_64\n")
    for path in boot_config(tree):
        tree.put(path, re.sub(r"crashkernel=[^\s\"]*", "crashkernel=auto", tree.text(path)))


def unsigned(tree: Tree) -> None:
    tree.put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
    tree.link("/var/lib/kdump/kernel", f"/boot/vmlinuz-{tree.kernel}")
    tree.put_bytes(f"/boot/vmlinuz-{tree.kernel}", uefi_program(signed=False))


def locked_down(tree: Tree) -> None:
    tree.put("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n")
    tree.put("/sys/kernel/kexec_crash_loaded", "0\n")


def encrypted(tree: Tree) -> None:
    tree.put("/proc/mounts", "/dev/mapper/root / ext4 rw 0 0\n")
    tree.put("/sys/block/dm-0/dm/uuid", "CRYPT-LUKS2-1234-root\n")
    tree.put("/sys/block/dm-0/dm/name", "root\n")


def argon2(tree: Tree) -> None:
    encrypted(tree)
    tree.put("/sys/block/dm-0/slaves/vda3/size", "1\n")
    json = '{"keyslots": {"0": {"kdf": {"type": "argon2id", "memory": 1048576}}}}'
    tree.put("/dev/vda3", "\0" * 4096 + json + "\0" * 8192)


def no_server(tree: Tree) -> None:
    set_target(tree, "nfs")
    tree.probe.answers = False


def no_filter(tree: Tree) -> None:
    text = re.sub(r"-d 31", "-d 1", tree.text(tree.config).replace("#MAKEDUMP", "MAKEDUMP"))
    tree.put(tree.config, text.replace('LEVEL="31"', 'LEVEL="1"'))


def full_disk(tree: Tree) -> None:
    tree.probe.free = 20 << 20


def old_makedumpfile(tree: Tree) -> None:
    tree.put("/usr/sbin/makedumpfile", MAKEDUMPFILE.replace("1.7.6", "1.7.2"))
    tree.put("/proc/sys/kernel/osrelease", "6.12.9-amd64\n")


def zstd_not_built_in(tree: Tree) -> None:
    tree.put("/usr/sbin/makedumpfile", MAKEDUMPFILE.replace("zstd\tenabled", "zstd\tdisabled"))
    lines = {
        "/etc/default/kdump-tools": 'MAKEDUMP_ARGS="-z -d 31"',
        "/etc/kdump.conf": "core_collector makedumpfile -z -d 31",
        "/etc/sysconfig/kdump": 'KDUMP_DUMPFORMAT="zstd"',
    }
    tree.put(tree.config, f"{tree.text(tree.config)}{lines[tree.config]}\n")


def device_mapper(tree: Tree) -> None:
    """The root on an encrypted device: its drivers are those of all that it stands on."""
    tree.put("/proc/mounts", "/dev/mapper/root / ext4 rw 0 0\n")
    tree.put("/sys/devices/virtual/block/dm-0/dm/name", "root\n")
    tree.put("/sys/devices/virtual/block/dm-0/dm/uuid", "CRYPT-LUKS2-1234-root\n")
    tree.link("/sys/devices/virtual/block/dm-0/slaves/vda1", "/sys/class/block/vda1")
    tree.link("/sys/class/block/dm-0", "../../devices/virtual/block/dm-0")


FAULTS: dict[str, tuple[str, Level, Callable[[Tree], None]]] = {
    "no kexec": ("tools", Level.FAIL, lambda t: t.remove("/usr/sbin/kexec")),
    "no makedumpfile": ("tools", Level.FAIL, lambda t: t.remove("/usr/sbin/makedumpfile")),
    "no service": (
        "tools",
        Level.FAIL,
        lambda t: t.remove(f"/usr/lib/systemd/system/{t.service}"),
    ),
    "crashkernel not configured": ("crashkernel_configured", Level.FAIL, not_configured),
    "crashkernel is nonsense": ("crashkernel_configured", Level.FAIL, nonsense),
    "crashkernel range misses": ("crashkernel_configured", Level.FAIL, range_misses),
    "boot loader out of date": (
        "crashkernel_boot",
        Level.FAIL,
        lambda t: drop_crashkernel(t, sources=False),
    ),
    "booted without crashkernel": (
        "crashkernel_running",
        Level.FAIL,
        lambda t: t.put("/proc/cmdline", "root=/dev/vda1\n"),
    ),
    "nothing reserved": ("memory_reserved", Level.FAIL, nothing_reserved),
    "too little reserved": ("memory_enough", Level.FAIL, too_small),
    "LUKS Argon2 needs more": ("memory_enough", Level.FAIL, argon2),
    "not loaded": (
        "capture_loaded",
        Level.FAIL,
        lambda t: t.put("/sys/kernel/kexec_crash_loaded", "0\n"),
    ),
    "no capture initrd": ("capture_initrd", Level.FAIL, lambda t: t.remove(t.initrd)),
    "capture kernel of another version": ("capture_initrd", Level.FAIL, stale_link),
    "service disabled": ("service", Level.FAIL, disabled),
    "service masked": ("service", Level.FAIL, masked),
    "kexec forbidden": ("kexec_allowed", Level.FAIL, forbidden),
    "lockdown": ("secure_boot", Level.FAIL, locked_down),
    "Secure Boot and an unsigned kernel": ("secure_boot", Level.FAIL, unsigned),
    "crashkernel=auto without RHEL's patch": ("crashkernel_configured", Level.FAIL, auto_unknown),
    "target in memory": (
        "target_mount",
        Level.FAIL,
        lambda t: t.put("/proc/mounts", "/dev/vda1 / ext4 rw 0 0\ntmpfs /var tmpfs rw 0 0\n"),
    ),
    "target read-only": (
        "target_mount",
        Level.FAIL,
        lambda t: t.put("/proc/mounts", "/dev/vda1 / ext4 ro 0 0\n"),
    ),
    "target folder missing": (
        "target_mount",
        Level.FAIL,
        lambda t: (t.folder / "var/crash").rmdir(),
    ),
    "disk full": ("target_space", Level.FAIL, full_disk),
    "server silent": ("target_server", Level.FAIL, no_server),
    "no SSH key": ("target_server", Level.FAIL, lambda t: set_target(t, "ssh")),
    "target encrypted": ("target_encrypted", Level.WARN, encrypted),
    "oops does not panic": (
        "panic_on_oops",
        Level.WARN,
        lambda t: t.put("/proc/sys/kernel/panic_on_oops", "0\n"),
    ),
    "sysrq off": ("sysrq", Level.WARN, lambda t: t.put("/proc/sys/kernel/sysrq", "0\n")),
    "no driver in the capture initrd": (
        "capture_drivers",
        Level.FAIL,
        lambda t: put_initrd(t, "virtio_pci", "ext4"),
    ),
    "no dm-crypt in the capture initrd": ("capture_drivers", Level.FAIL, device_mapper),
    "makedumpfile too old": ("makedumpfile_kernel", Level.WARN, old_makedumpfile),
    "compression not built in": ("compression", Level.WARN, zstd_not_built_in),
    "no filter": ("dump_level", Level.WARN, no_filter),
}


def test_a_healthy_host_raises_no_alarm(tree: Tree) -> None:
    results = checks.run(tree.host)
    assert {
        named.name: named.result for named in results if named.result.level is not Level.OK
    } == {}
    assert status.worst(results) is Level.OK


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_by_name(tree: Tree, fault: str) -> None:
    name, level, damage = FAULTS[fault]
    damage(tree)
    results = {named.name: named.result for named in checks.run(tree.host)}
    assert results[name].level is level
    assert results[name].meaning
    assert results[name].remedy


def test_a_later_part_that_forgets_crashkernel_is_found(tree: Tree) -> None:
    """As images of clouds have it: the variable is set, not added to."""
    if tree.config != "/etc/default/kdump-tools":
        pytest.skip("GRUB's configuration in parts is Debian's")
    part = "/etc/default/grub.d/zy-cloud.cfg"
    tree.put(part, 'GRUB_CMDLINE_LINUX_DEFAULT="console=ttyS0"\n')
    results = {named.name: named.result for named in checks.run(tree.host)}
    assert results["crashkernel_configured"].level is Level.FAIL
    tree.put(part, 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT console=ttyS0"\n')
    results = {named.name: named.result for named in checks.run(tree.host)}
    assert results["crashkernel_configured"].level is Level.OK


def test_a_signed_kernel_that_is_loaded_is_no_fault(tree: Tree) -> None:
    unsigned(tree)
    tree.put_bytes(f"/boot/vmlinuz-{tree.kernel}", uefi_program(signed=True))
    results = {named.name: named.result for named in checks.run(tree.host)}
    assert results["secure_boot"].level is Level.OK


def test_dumps_packed_as_a_whole_are_found(tree: Tree) -> None:
    if tree.config != "/etc/default/kdump-tools":
        pytest.skip("a setting of Debian's kdump-tools")
    tree.put(tree.config, tree.text(tree.config) + "KDUMP_COMPRESSION=gzip\n")
    results = {named.name: named.result for named in checks.run(tree.host)}
    assert results["compression"].level is Level.WARN


def test_use_kdump_off_is_found(tree: Tree) -> None:
    if tree.config != "/etc/default/kdump-tools":
        pytest.skip("a switch of Debian's kdump-tools")
    tree.edit(tree.config, "USE_KDUMP=1", "USE_KDUMP=0")
    results = {named.name: named.result for named in checks.run(tree.host)}
    assert results["service"].level is Level.FAIL


def test_nothing_is_claimed_of_an_empty_tree(tree: Tree) -> None:
    for path in ("proc", "sys", "boot"):
        import shutil

        shutil.rmtree(tree.folder / path)
    levels = {named.name: named.result.level for named in checks.run(tree.host)}
    for name in ("memory_reserved", "memory_enough", "capture_loaded", "crashkernel_boot"):
        assert levels[name] is Level.UNKNOWN
