from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from oopsight.kdump import initrd
from oopsight.kdump.distros import CaptureSystem
from oopsight.kdump.errors import KdumpError
from oopsight.kdump.host import Root
from oopsight.kdump.rehearse import first


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A host with this machine's own shell and mount, and a copy of them as its kexec."""
    host = tmp_path / "host"
    for name, source in (("sh", "sh"), ("mount", "mount"), ("kexec", "mount")):
        program = shutil.which(source)
        assert program is not None
        (host / "usr/bin").mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(program).resolve(), host / "usr/bin" / name)
    for folder in ("lib", "lib64"):
        if Path("/", folder).is_dir():
            (host / folder).symlink_to(f"usr/{folder}")
    for path in _libraries():
        place = Root(host).locate(str(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path.resolve(), place)
    (host / "boot").mkdir()
    (host / "boot/vmlinuz").write_bytes(b"kernel")
    (host / "boot/initrd").write_bytes(b"initrd")
    return Root(host)


def _libraries() -> list[Path]:
    from oopsight.kdump import programs

    live = Root("/")
    paths = [path for name in ("sh", "mount") if (path := programs.find(live, name))]
    found = {name for path in paths for name in programs.closure(live, path)}
    return [Path(name) for name in sorted(found) if "/lib" in name]


CAPTURE = CaptureSystem("/boot/vmlinuz", "/boot/initrd", "root=/dev/vda1 ro")


def test_the_ram_disk_holds_all_that_the_script_runs(root: Root, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(first.initrd(root, CAPTURE, "root=/dev/vda1 'quoted'"))
    names = initrd.names(image)
    assert {"init", "bin/sh", "usr/bin/mount", "usr/bin/kexec"} <= names
    assert {"capture/kernel", "capture/initrd"} <= names
    assert any(name.endswith("libc.so.6") for name in names)
    assert any("ld-linux" in name for name in names)
    # A quote in the command line stays inside it.
    assert b"""--command-line='root=/dev/vda1 '"'"'quoted'"'"''""" in image.read_bytes()


def test_a_missing_library_is_named(root: Root) -> None:
    for path in root.directory.rglob("libc.so.6"):
        path.unlink()
    with pytest.raises(KdumpError, match=r"libc\.so\.6"):
        first.initrd(root, CAPTURE, "")


def test_a_host_without_kexec_is_told_so(root: Root) -> None:
    (root.directory / "usr/bin/kexec").unlink()
    with pytest.raises(KdumpError, match="kexec is not installed"):
        first.initrd(root, CAPTURE, "")
