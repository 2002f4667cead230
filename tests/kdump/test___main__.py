"""kdump alone, as the one file that runs where nothing may be installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from trees import Tree, build

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def program() -> Path:
    subprocess.run([sys.executable, CHECKOUT / "tools/build_zipapp.py"], check=True)
    return CHECKOUT / "dist" / "oopsight-kdump.pyz"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return build(tmp_path / "host", "rhel9")


def run(program: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    # -S and -I: without any package that is installed here.
    argv = [sys.executable, "-I", "-S", program, *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_it_checks_a_host(program: Path, tree: Tree) -> None:
    done = run(program, "status", "--json", "--root", tree.folder)
    assert done.stderr == ""
    levels = {check["name"]: check["level"] for check in json.loads(done.stdout)["checks"]}
    assert levels["service"] == "ok"
    # How much space is free and whether servers answer does not show in a tree.
    assert set(levels.values()) == {"ok", "unknown"}
    assert done.returncode == 0


def test_it_tells_the_last_ending(program: Path, tree: Tree) -> None:
    done = run(program, "last", "--root", tree.folder)
    assert done.returncode == 3
    assert "no record" in done.stdout


def test_it_plans_without_a_unit_that_could_analyse_nothing(program: Path, tree: Tree) -> None:
    done = run(program, "setup", "--dry-run", "--memory", "300M", "--root", tree.folder)
    assert done.returncode == 0
    assert "+options" in done.stdout
    assert ".service" not in done.stdout.replace("systemctl enable kdump.service", "")


def test_trouble_is_one_line(program: Path, tmp_path: Path) -> None:
    done = run(program, "status", "--root", tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
