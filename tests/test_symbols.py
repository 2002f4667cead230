"""The ladder of symbol sources: the right build or none."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from handmade_files import elf, note, vmlinux

from oopsight.errors import SymbolError, WrongBuildError
from oopsight.symbols import Wanted, build_id_of, find_vmlinux
from oopsight.symbols.sources import debug_directories

RIGHT, OTHER = bytes.fromhex("11223344"), bytes.fromhex("99887766")


@pytest.fixture(autouse=True)
def nothing_of_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debug_directories, "SYSTEM", tmp_path / "system")
    monkeypatch.delenv("DEBUGINFOD_URLS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("DEBUGINFOD_CACHE_PATH", str(tmp_path / "cache"))


def wanted(vmlinux: Path | None = None, *directories: Path) -> Wanted:
    return Wanted("6.1.0-9-amd64", RIGHT.hex(), vmlinux, directories)


def put(path: Path, build_id: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(vmlinux(build_id))
    return path


def test_the_build_id_is_read_past_other_notes(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(elf(note(b"Xen", 3, b"\xff") + note(b"GNU", 3, RIGHT), kind=2))
    assert build_id_of(path) == "11223344"
    path.write_bytes(elf(note(b"Xen", 3, b"\xff"), kind=2))
    assert build_id_of(path) is None
    path.write_text("text")
    with pytest.raises(SymbolError, match="no ELF file"):
        build_id_of(path)


def test_what_the_user_gave_comes_first(tmp_path: Path) -> None:
    put(tmp_path / "debug/vmlinux", RIGHT)
    given = put(tmp_path / "given", RIGHT)
    status = find_vmlinux(wanted(given, tmp_path / "debug"))
    assert (status.path, status.source) == (given, "given")


def test_a_wrong_build_given_is_refused_with_both_builds_and_the_package(tmp_path: Path) -> None:
    put(tmp_path / "debug/vmlinux", RIGHT)
    with pytest.raises(WrongBuildError) as raised:
        find_vmlinux(wanted(put(tmp_path / "given", OTHER), tmp_path / "debug"))
    for part in (OTHER.hex(), RIGHT.hex(), "linux-image-6.1.0-9-amd64-dbg"):
        assert part in str(raised.value)


def test_an_unusable_file_given_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SymbolError, match="No such file"):
        find_vmlinux(wanted(tmp_path / "absent"))


def test_debug_directories_prefer_the_build_id_and_pass_wrong_builds_by(tmp_path: Path) -> None:
    put(tmp_path / "a/vmlinux", OTHER)
    put(tmp_path / "system/boot/vmlinux-6.1.0-9-amd64", RIGHT)
    by_release = find_vmlinux(wanted(None, tmp_path / "a"))
    assert by_release.path == tmp_path / "system/boot/vmlinux-6.1.0-9-amd64"
    outcomes = [(a.source, a.outcome) for a in by_release.attempts]
    assert ("debug-directories", "wrong build") in outcomes
    by_id = put(tmp_path / "a/usr/lib/debug/.build-id/11/223344.debug", RIGHT)
    assert find_vmlinux(wanted(None, tmp_path / "a")).path == by_id


def test_a_hostile_release_leaves_no_directory(tmp_path: Path) -> None:
    put(tmp_path / "secret/vmlinux", RIGHT)
    status = find_vmlinux(Wanted("../../secret", RIGHT.hex(), None, (tmp_path / "a/b",)))
    assert status.path is None


def test_every_rung_is_accounted_for() -> None:
    status = find_vmlinux(wanted())
    assert status.path is None
    assert [(a.source, a.outcome) for a in status.attempts] == [
        ("given", "skipped"),
        ("debug-directories", "absent"),
        ("packs", "absent"),
        ("debuginfod", "skipped"),
        ("dump", "skipped"),
    ]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A debuginfod server on this host with one file; yields the paths asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            found = self.path == f"/buildid/{RIGHT.hex()}/debuginfo"
            body = vmlinux(RIGHT) if found else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setenv("DEBUGINFOD_URLS", f"http://127.0.0.1:{listening.server_port}/")
        yield asked
        listening.shutdown()
        thread.join()


def test_debuginfod_is_asked_once_and_cached(tmp_path: Path, server: list[str]) -> None:
    for _ in range(2):
        status = find_vmlinux(wanted())
        assert status.source == "debuginfod"
        assert status.path == tmp_path / "cache/11223344/debuginfo"
    assert server == ["/buildid/11223344/debuginfo"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # urllib's HTTPError
def test_debuginfod_without_the_build(tmp_path: Path, server: list[str]) -> None:
    status = find_vmlinux(Wanted("6.1.0", OTHER.hex()))
    assert status.path is None
    assert {a.source: a.outcome for a in status.attempts}["debuginfod"] == "absent"
    assert server == [f"/buildid/{OTHER.hex()}/debuginfo"]
    assert not list((tmp_path / "cache").rglob("debuginfo"))
