from __future__ import annotations

import json
from pathlib import Path

import pytest

from oopsight.cli import main


def host(folder: Path) -> Path:
    etc = folder / "etc"
    etc.mkdir(parents=True)
    (etc / "os-release").write_text("ID=debian\n")
    return folder


def test_status_tells_the_whole_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kdump", "status", "--json", "--root", str(host(tmp_path))]) == 2
    data = json.loads(capsys.readouterr().out)
    assert data["level"] == "fail"
    assert {"tools", "service"} <= {
        check["name"] for check in data["checks"] if check["level"] == "fail"
    }


def test_prometheus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["kdump", "status", "--format", "prometheus", "--root", str(host(tmp_path))])
    lines = capsys.readouterr().out.splitlines()
    assert "oopsight_kdump_ready 0" in lines
    assert 'oopsight_kdump_check{check="tools"} 2' in lines


def test_one_line_for_monitoring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kdump", "status", "--format", "line", "--root", str(host(tmp_path))]) == 2
    out = capsys.readouterr().out
    assert out.startswith("KDUMP CRITICAL: ")
    assert out.count("\n") == 1


def test_a_file_for_node_exporter_appears_whole(tmp_path: Path) -> None:
    goal = tmp_path / "metrics" / "kdump.prom"
    root = str(host(tmp_path / "host"))
    main(["kdump", "status", "--format", "prometheus", "-o", str(goal), "--root", root])
    assert goal.read_text().startswith("# HELP oopsight_kdump_ready")
    assert [path.name for path in goal.parent.iterdir()] == ["kdump.prom"]


def test_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kdump", "status", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_machine_is_not_crashed_by_accident(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kdump", "test"]) == 2
    assert "--yes-crash-this-machine" in capsys.readouterr().err


def test_a_dry_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = host(tmp_path)
    (root / "proc").mkdir()
    (root / "proc/meminfo").write_text("MemTotal: 8388608 kB\n")
    before = sorted(root.rglob("*"))
    argv = ["kdump", "setup", "--dry-run", "--memory", "256M", "--root", str(root)]
    assert main(argv) == 0
    assert "+GRUB_CMDLINE_LINUX_DEFAULT" in capsys.readouterr().out
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("target", ["nfs:a:/b;rm", "/x$(id)", "ftp:x", "ssh:host"])
def test_a_hostile_target_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    argv = ["kdump", "setup", "--yes", "--memory", "256M", "--target", target]
    assert main([*argv, "--root", str(host(tmp_path))]) == 2
    assert "target" in capsys.readouterr().err
