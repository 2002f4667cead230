"""setup and undo: killed at every write, completed by a second run, undone byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from trees import ROOT_ARGS, Tree

from oopsight.kdump import apply, cmdline, plan
from oopsight.kdump.checks import Host
from oopsight.kdump.errors import KdumpError
from oopsight.kdump.host import Root

KILLED = 99


class Killed(Root):
    """A root under which the process dies at the n-th elementary change, cleaning up nothing."""

    def __init__(self, directory: Path, step: int) -> None:
        super().__init__(directory)
        self.left = step

    def _step(self, what: str) -> None:
        self.left -= 1
        if self.left < 0:
            os._exit(KILLED)


def snapshot(tree: Tree) -> dict[str, bytes | str]:
    """Every file and link but setup's own journal."""
    found: dict[str, bytes | str] = {}
    for path in tree.folder.rglob("*"):
        name = str(path.relative_to(tree.folder))
        if name.startswith("var/lib/oopsight"):
            continue
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def in_child(work: object, root: Killed, tree: Tree) -> bool:
    """Run in a process of its own; whether it was killed."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(root, tree)  # type: ignore[operator]
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in {0, KILLED}
    return code == KILLED


def set_up(root: Root, tree: Tree) -> None:
    host = Host(root, tree.probe)
    apply.carry_out(host, plan.make(host, memory="320M"))


def undo(root: Root, tree: Tree) -> None:
    apply.undo(root)


def assert_bootable(tree: Tree, before: dict[str, bytes | str]) -> None:
    """Each boot entry whole: the root device where it was, everything else old or new."""
    lines = tree.host.distro.boot_lines(tree.host.root)
    assert lines
    for line in lines.values():
        for word in ROOT_ARGS.split():
            assert word in line.split()
        asked = cmdline.crashkernel(line, 8 << 30)
        assert asked is None or asked.valid
    for name in before:
        assert (tree.folder / name).exists() or (tree.folder / name).is_symlink()
        if name.endswith("grubenv"):
            assert (tree.folder / name).stat().st_size == 1024
    seen = tree.host.root.glob("/boot/loader/entries/*.conf")
    assert not [path for path in seen if "oopsight" in path]


@pytest.mark.filterwarnings("ignore:This process")
@pytest.mark.parametrize("work", [set_up, undo])
def test_killed_at_any_write_the_host_still_boots(tree: Tree, work: object) -> None:
    before = snapshot(tree)
    if work is undo:
        set_up(Root(tree.folder), tree)
    goal: dict[str, bytes | str] | None = None
    for step in range(200):
        killed = in_child(work, Killed(tree.folder, step), tree)
        assert_bootable(tree, before)
        if not killed:
            goal = snapshot(tree)
            break
        if work is set_up:
            # What the kill left is completed by a run that is not killed.
            set_up(Root(tree.folder), tree)
            assert plan.make(tree.host, memory="320M").changes == ()
            assert apply.undo(Root(tree.folder))[1] == []
            assert visible(snapshot(tree)) == before
        else:
            apply.undo(Root(tree.folder))
            assert visible(snapshot(tree)) == before
            set_up(Root(tree.folder), tree)
    assert goal is not None
    assert step > 5


def visible(files: dict[str, bytes | str]) -> dict[str, bytes | str]:
    """Without the hidden halves that a kill may leave behind."""
    return {name: content for name, content in files.items() if ".oopsight-new" not in name}


def test_setup_sets_what_was_asked_and_is_idempotent(tree: Tree) -> None:
    set_up(Root(tree.folder), tree)
    once = snapshot(tree)
    for line in tree.host.distro.sources(tree.host.root).values():
        values = cmdline.parameters(line, "crashkernel")
        assert values in ([], ["320M"])
    assert any("320M" in line for line in tree.host.distro.sources(tree.host.root).values())
    set_up(Root(tree.folder), tree)
    assert snapshot(tree) == once


def test_undo_is_byte_for_byte(tree: Tree) -> None:
    before = snapshot(tree)
    set_up(Root(tree.folder), tree)
    assert snapshot(tree) != before
    set_up(Root(tree.folder), tree)
    restored, kept = apply.undo(Root(tree.folder))
    assert restored
    assert kept == []
    assert snapshot(tree) == before


def test_undo_leaves_what_others_changed(tree: Tree) -> None:
    set_up(Root(tree.folder), tree)
    changed = tree.text(plan.SYSCTL) + "# mine\n"
    tree.put(plan.SYSCTL, changed)
    restored, kept = apply.undo(Root(tree.folder))
    assert restored
    assert kept == [plan.SYSCTL]
    assert tree.text(plan.SYSCTL) == changed
    assert apply.undo(Root(tree.folder), force=True) == ([plan.SYSCTL], [])
    assert not tree.host.root.exists(plan.SYSCTL)


@pytest.mark.parametrize("virtual", [True, False])
def test_a_virtual_machine_is_not_made_to_panic_for_being_paused(
    tree: Tree, *, virtual: bool
) -> None:
    flags = "fpu hypervisor lm" if virtual else "fpu lm"
    tree.put("/proc/cpuinfo", f"processor\t: 0\nflags\t\t: {flags}\n")
    changes = {change.path: change.new for change in plan.make(tree.host, memory="320M").changes}
    assert ("softlockup_panic" in changes[plan.SYSCTL]) is not virtual
    assert "kernel.panic_on_oops = 1" in changes[plan.SYSCTL]


@pytest.mark.parametrize(
    ("memory", "message"), [("lots", "no size"), ("1M", "no size"), ("6G", "more than half")]
)
def test_a_senseless_size_is_refused(tree: Tree, memory: str, message: str) -> None:
    with pytest.raises(KdumpError, match=message):
        plan.make(tree.host, memory=memory)
