from __future__ import annotations

from pathlib import Path

import pytest

from oopsight.kdump.errors import KdumpError
from oopsight.kdump.rehearse import machine
from oopsight.kdump.rehearse.machine import Disk, Plan


def arguments(*disks: Disk) -> str:
    plan = Plan(Path("/boot/vmlinuz"), b"", "ro", 512 << 20, disks, "tcg")
    return " ".join(machine._arguments(plan, Path("/run/x")))


def test_the_hosts_disk_is_never_written_to() -> None:
    text = arguments(Disk(Path("/dev/vda")), Disk(Path("/dev/a,b")))
    assert text.count("snapshot=on") == 2
    assert "file=/dev/a,,b," in text
    assert "-no-reboot" in text


@pytest.mark.parametrize("driver", machine.DISKS)
def test_each_driver_has_a_device_of_its_own(driver: str) -> None:
    text = arguments(Disk(Path("/dev/sda"), driver), Disk(Path("/dev/sdb"), driver))
    for number in (0, 1):
        assert f"drive=disk{number}" in text
        if "bus=" in text:
            assert f"bus=bus{number}" in text


def test_without_qemu_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(KdumpError, match="install qemu-system-x86") as caught:
        machine.program()
    assert caught.value.exit_code == 7
