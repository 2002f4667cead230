"""From a server without kdump to the verdict on its crash, without a hand lifted in between.

One server lives through all of it, so the tests build on each other: run them with ``-x``.
"""

from __future__ import annotations

import json

import pytest

from oopslab.server import Server

BOOT = 240.0  # seconds
HOOK = """mkdir -p /etc/oopsight
cat >/etc/oopsight/dump-hook <<'END'
#!/bin/sh
echo "$2" >/var/lib/hook-ran
END
chmod +x /etc/oopsight/dump-hook"""
# Everything that setup may touch, and that the machine boots by.
STATE = "cd / && find etc boot -type f | grep -v ld.so.cache | sort | xargs sha256sum"


def checks(server: Server) -> dict[str, str]:
    data = json.loads(server.shell("oopsight kdump status --json", check=False))
    return {check["name"]: check["level"] for check in data["checks"]}


def wait_for_report(server: Server, number: int) -> None:
    """Until the collecting service has left the last of so many reports."""
    server.shell(
        f"until [ $(ls /var/crash/*/report.json 2>/dev/null | wc -l) -ge {number} ]; do "
        "sleep 1; done",
        timeout=300,
    )


def test_before_setup_the_broken_links_are_found(server: Server) -> None:
    levels = checks(server)
    broken = {name for name, level in levels.items() if level == "fail"}
    assert {"tools", "service", "crashkernel_running", "memory_reserved"} <= broken
    # What is read from /proc/sys is there on a machine that runs.
    for name in ("panic_on_oops", "sysrq", "panic_timeout", "kexec_allowed"):
        assert levels[name] in {"ok", "warn"}


def test_setup_installs_configures_and_runs_for_real(server: Server) -> None:
    shown = server.shell("oopsight kdump setup --dry-run", check=False)
    assert "to be installed: kdump-tools" in shown
    assert server.shell("oopsight kdump setup --yes", timeout=600).count("to be run: ") == 2
    assert "nothing to do" in server.shell("oopsight kdump setup --yes")
    grub = server.shell("grep -c 'crashkernel=[0-9]*M$' /boot/grub/grub.cfg")
    assert int(grub) >= 2
    assert server.shell("systemctl is-enabled kdump-tools oopsight-dumps.path", check=False)


def test_undo_is_byte_for_byte_and_a_killed_setup_is_completed(server: Server) -> None:
    wanted = server.shell(STATE)
    server.shell("oopsight kdump undo")
    before = server.shell(STATE)
    assert before != wanted
    assert server.shell("cat /etc/default/grub.d/kdump-tools.cfg").strip().endswith('384M-:128M"')
    for seconds in (0.7, 1.5, 3, 6):
        server.shell(f"timeout -s KILL {seconds} oopsight kdump setup --yes", check=False)
        # Whatever was reached: the boot loader's configuration is whole.
        server.shell("grub-script-check /boot/grub/grub.cfg && grep -q vmlinuz /boot/grub/grub.cfg")
    server.shell("oopsight kdump setup --yes")
    assert server.shell(STATE) == wanted
    server.shell("oopsight kdump undo")
    assert server.shell(STATE) == before
    server.shell("oopsight kdump setup --yes")
    assert server.shell(STATE) == wanted


def test_after_a_reboot_the_chain_is_whole(server: Server) -> None:
    server.shell(HOOK)
    server.shell("useradd -m anna && echo 'anna ALL=NOPASSWD: ALL' >/etc/sudoers.d/anna")
    server.start("su - anna -c 'sudo reboot'")
    server.log_in(BOOT)
    server.shell("until oopsight kdump status --format line | grep -q OK; do sleep 2; done", 300)
    levels = checks(server)
    assert {name for name, level in levels.items() if level in {"fail", "unknown"}} == set()


def test_last_says_who_rebooted_it(server: Server) -> None:
    out = server.shell("oopsight last")
    assert "an orderly shutdown by anna" in out
    assert "reboot" in out


def test_the_incident_is_reported_without_a_hand_lifted(server: Server) -> None:
    server.start("incident")
    server.wait_for("saved vmcore in /var/crash/", 300)
    server.log_in(BOOT)
    wait_for_report(server, 1)
    report = json.loads(server.shell("cat /var/crash/*/report.json"))
    assert report["verdict"]["cause"] == "unloaded_module_pointer"
    assert report["verdict"]["culprit"]["module"] == "vmsecmod"
    assert report["verdict"]["file_accessed"] == "/proc/slabinfo"
    assert "vmsecmod" in server.shell("cat /var/crash/*/report.txt")


def test_last_prints_the_verdict(server: Server) -> None:
    out = server.shell("oopsight last", check=False)
    assert "vmsecmod was unloaded and left slab cache" in out
    assert "shown by /var/crash/" in out


def test_the_admin_is_told(server: Server) -> None:
    assert "vmsecmod" in server.shell("cat /var/lib/hook-ran")
    critical = "journalctl -q -u oopsight-dumps.service -p crit --no-pager"
    assert "vmsecmod" in server.shell(critical)
    server.start("logout")
    assert "vmsecmod was unloaded" in server.log_in()


def test_a_reset_is_not_called_a_crash(server: Server) -> None:
    server.shell("sync")
    server.reset()
    server.log_in(BOOT)
    out = server.shell("oopsight last", check=False)
    assert "breaks off without a shutdown" in out


def test_the_crash_on_purpose_leaves_a_second_dump(server: Server) -> None:
    """Also without debug symbols beside it, which many servers do not have."""
    server.shell("until [ $(cat /sys/kernel/kexec_crash_loaded) = 1 ]; do sleep 2; done", 300)
    assert "give --yes-crash-this-machine" in server.shell("oopsight kdump test", check=False)
    seen = len(server.console)
    server.start("oopsight kdump test --yes-crash-this-machine")
    server.wait_for("saved vmcore in /var/crash/", 300, start=seen)
    server.log_in(BOOT)
    wait_for_report(server, 2)
    out = server.shell("oopsight last", check=False)
    assert "sysrq" in out.lower()
    assert "vmsecmod" not in out


@pytest.mark.parametrize("name", ["report.txt", "report.json"])
def test_reports_are_for_root_alone(server: Server, name: str) -> None:
    assert set(server.shell(f"stat -c %a /var/crash/*/{name}").split()) == {"600"}
