"""What is made of a console, and of hosts that cannot be rehearsed."""

from __future__ import annotations

from pathlib import Path

import pytest
from trees import Tree, build

from oopsight.kdump import rehearse
from oopsight.kdump.cmdline import MiB
from oopsight.kdump.errors import KdumpError
from oopsight.kdump.rehearse import Outcome, first

CRASH = f"{first.LOADED}\n[ 9.2] sysrq: Trigger a crash\n"
CAPTURE = f"{CRASH}[ 0.0] Linux version 6.1\n[ 0.0] Command line: ro elfcorehdr=0x1\n"
SAVED = "[ 65.1] kdump-tools[9]: kdump-tools: saved vmcore in /var/crash/202611.\n"
KILLED = "[ 20.0] Out of memory: Killed process 9 (udevd) total-vm:1kB\n"
ENDINGS = {
    CAPTURE + SAVED: Outcome.SAVED,
    CAPTURE + "kdump: saving vmcore complete\n": Outcome.SAVED,
    CAPTURE + KILLED + SAVED: Outcome.TIGHT,
    CAPTURE + KILLED: Outcome.NO_MEMORY,
    CRASH: Outcome.NO_MEMORY,
    CAPTURE + "ALERT!  UUID=1 does not exist.  Dropping to a shell!\n": Outcome.FAILED,
    CAPTURE + "kdump-tools: failed to save vmcore in /var/crash/1\n": Outcome.FAILED,
    CAPTURE + "kdump: saving vmcore failed\n": Outcome.FAILED,
    f"kexec: no\n{first.NOT_LOADED}\n": Outcome.NOT_LOADED,
    "crashkernel reservation failed - No suitable area found.\n": Outcome.NOT_RESERVED,
}


@pytest.mark.parametrize("console", ENDINGS)
def test_how_it_ended_by_what_it_said(console: str) -> None:
    crashed = 1.0 if first.LOADED in console else None
    seen = rehearse._Seen(console, crashed, 60.0, by_itself=True)
    result = rehearse._judge(seen, 160 * MiB, 8 << 30)
    assert result.outcome is ENDINGS[console]
    assert result.message


def test_a_dump_of_the_first_kernels_words_does_not_count() -> None:
    """Only what the capture kernel says tells of the dump."""
    seen = rehearse._Seen(f"the last boot: {SAVED}{CRASH}", 1.0, 60.0, by_itself=True)
    assert rehearse._judge(seen, 160 * MiB, None).outcome is not Outcome.SAVED


def test_time_over_is_no_verdict() -> None:
    seen = rehearse._Seen(CAPTURE + "[ 3.0] still busy\n", 1.0, 60.0, by_itself=False)
    result = rehearse._judge(seen, 160 * MiB, None)
    assert result.outcome is Outcome.NO_END
    assert "still busy" in result.message


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.setattr("oopsight.kdump.rehearse.machine.program", lambda: "/usr/bin/qemu")
    return build(tmp_path / "host", "debian12")


def test_a_tree_needs_an_image_of_its_disk(tree: Tree) -> None:
    tree.put(f"/boot/vmlinuz-{tree.kernel}", "kernel")
    with pytest.raises(KdumpError, match="--disk"):
        rehearse.rehearse(tree.host)


def test_a_server_as_the_target_is_not_rehearsed(tree: Tree) -> None:
    tree.put(tree.config, 'USE_KDUMP=1\nNFS="store:/crash"\n')
    with pytest.raises(KdumpError, match="the target is nfs"):
        rehearse.rehearse(tree.host)


def test_without_a_capture_initrd_there_is_nothing_to_rehearse(tree: Tree) -> None:
    tree.remove(tree.initrd)
    with pytest.raises(KdumpError, match="capture"):
        rehearse.rehearse(tree.host, disks=(Path("/x"),))


def test_without_memory_there_is_nothing_to_rehearse(tree: Tree) -> None:
    tree.put("/proc/iomem", "")
    tree.put("/sys/kernel/kexec_crash_size", "0\n")
    tree.put("/proc/cmdline", "root=/dev/vda1\n")
    with pytest.raises(KdumpError, match="--memory"):
        rehearse.rehearse(tree.host)


LINES = {
    "debian12": "systemd.unit=kdump-tools-dump.service",
    "rhel9": "reset_devices",
    "sles15": "root=kdump",
}


@pytest.mark.parametrize("name", LINES)
def test_the_capture_kernels_command_line(tmp_path: Path, name: str) -> None:
    made = build(tmp_path / "host", name)
    made.put(f"/boot/vmlinuz-{made.kernel}", "kernel")
    system = made.host.distro.capture_system(
        made.host.root, made.kernel, "ro root=/dev/vda1 crashkernel=256M quiet"
    )
    words = system.command_line.split()
    assert LINES[name] in words
    assert not [word for word in words if word.startswith("crashkernel")]
    assert system.initrd == made.initrd


def test_a_silent_kvm_is_followed_by_software_emulation(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.put(f"/boot/vmlinuz-{tree.kernel}", "kernel")
    monkeypatch.setattr("oopsight.kdump.rehearse.first.initrd", lambda *_: b"")
    monkeypatch.setattr("oopsight.kdump.rehearse.machine.accelerator", lambda: "kvm")
    tried = []

    def run(plan: rehearse.machine.Plan, *_: object) -> rehearse._Seen:
        tried.append(plan.accelerator)
        console = CAPTURE + SAVED if plan.accelerator == "tcg" else ""
        return rehearse._Seen(console, 1.0, 60.0, by_itself=True)

    monkeypatch.setattr("oopsight.kdump.rehearse._run", run)
    result = rehearse.rehearse(tree.host, disks=(Path("/x"),))
    assert tried == ["kvm", "tcg"]
    assert result.outcome is Outcome.SAVED
    assert result.reserved == 512 * MiB
