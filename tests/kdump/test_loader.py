from __future__ import annotations

from pathlib import Path

import pytest
from trees import ROOT_ARGS, Tree, build, uefi_program

from oopsight.kdump import apply, checks, loader, pe, plan
from oopsight.kdump.checks import Level
from oopsight.kdump.host import Root

ENTRY = "/boot/efi/loader/entries/abc-6.1.0-35-amd64.conf"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Debian booted by systemd-boot, without GRUB."""
    made = build(tmp_path / "host", "debian12")
    made.remove("/boot/grub/grub.cfg")
    made.remove("/etc/default/grub")
    made.put("/etc/kernel/cmdline", f"{ROOT_ARGS}\n")
    made.put(ENTRY, f"title Debian\nlinux /abc/linux\noptions {ROOT_ARGS}\n")
    made.put("/boot/efi/loader/entries/abc-rescue.conf", "title Rescue\noptions single\n")
    return made


def level(tree: Tree, name: str) -> Level:
    return {named.name: named.result.level for named in checks.run(tree.host)}[name]


def test_systemd_boot_is_checked_and_set_up(tree: Tree) -> None:
    assert level(tree, "crashkernel_boot") is Level.FAIL
    apply.carry_out(tree.host, plan.make(tree.host, memory="320M"))
    assert f"options {ROOT_ARGS} crashkernel=320M\n" in tree.text(ENTRY)
    assert tree.text("/etc/kernel/cmdline") == f"{ROOT_ARGS} crashkernel=320M\n"
    assert level(tree, "crashkernel_boot") is Level.OK
    assert plan.make(tree.host, memory="320M").changes == ()
    apply.undo(Root(tree.folder))
    assert "crashkernel" not in tree.text(ENTRY)
    assert tree.text("/etc/kernel/cmdline") == f"{ROOT_ARGS}\n"


def test_a_unified_image_is_read(tree: Tree) -> None:
    tree.remove(ENTRY)
    path = "/boot/efi/EFI/Linux/debian.efi"
    image = uefi_program(signed=True, cmdline=f"{ROOT_ARGS} crashkernel=256M")
    tree.put_bytes(path, image)
    assert loader.lines(tree.host.root) == {path: f"{ROOT_ARGS} crashkernel=256M"}
    assert level(tree, "crashkernel_boot") is Level.OK
    tree.put_bytes(path, uefi_program(signed=True, cmdline=ROOT_ARGS))
    assert level(tree, "crashkernel_boot") is Level.FAIL


def test_a_later_part_of_grubs_configuration_does_not_win(tmp_path: Path) -> None:
    made = build(tmp_path / "host", "ubuntu2404")
    part = "/etc/default/grub.d/zy-cloud.cfg"
    made.put(part, 'GRUB_CMDLINE_LINUX_DEFAULT="console=ttyS0 crashkernel=64M"\n')
    apply.carry_out(made.host, plan.make(made.host, memory="320M"))
    line = made.host.distro.effective_line(made.host.root)
    assert line is not None
    assert line.split() == ["console=ttyS0", "crashkernel=320M"]
    assert plan.make(made.host, memory="320M").changes == ()


@pytest.mark.parametrize("length", [0, 2, 63, 64, 90, 150, 250, 330])
def test_a_torn_image_tells_nothing(length: int) -> None:
    image = uefi_program(signed=True, cmdline="ro")[:length]
    pe.is_signed(image)
    assert pe.section(image, ".cmdline") in {None, b""}
