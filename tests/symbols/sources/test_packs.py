from __future__ import annotations

from pathlib import Path

import pytest
from handmade_files import vmlinux

from oopsight.symbols import Wanted, cache, find_vmlinux


def test_a_file_without_a_seal_is_no_pack_whatever_its_build_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build_id = "ab" * 20
    cache.store(build_id, vmlinux(bytes.fromhex(build_id)))
    attempts = find_vmlinux(Wanted("6.1.0", build_id, own=True)).attempts
    outcome = {attempt.source: attempt for attempt in attempts}["packs"]
    assert (outcome.outcome, "no symbol pack" in outcome.detail) == ("unusable", True)
