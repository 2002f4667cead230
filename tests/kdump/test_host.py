from __future__ import annotations

from pathlib import Path

import pytest

from oopsight.kdump.host import Root


def test_the_files_of_proc_sys_are_read_too() -> None:
    """They answer ENOMEM where the whole of a large buffer is asked for at once."""
    if not Path("/proc/sys/kernel/osrelease").exists():
        pytest.skip("no /proc here")
    release = Path("/proc/sys/kernel/osrelease").read_text()
    assert Root("/").read("/proc/sys/kernel/osrelease") == release


def test_links_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("inside")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "up").symlink_to("../../../../etc/passwd")
    root = Root(tmp_path)
    assert root.read("/link") == root.read("/up") == "inside"
    assert root.resolve("/link") == "/etc/passwd"
