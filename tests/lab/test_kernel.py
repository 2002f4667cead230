from __future__ import annotations

import json
from pathlib import Path

import pytest

from oopslab import kernel as kernel_module
from oopslab.errors import LabUnavailable
from oopslab.kernel import complete_releases, kernel
from oopslab.packages import Suite

# As apt-cache search gives them: not every image has symbols and headers.
OFFERED = [
    "linux-image-6.1.0-9-cloud-amd64",
    "linux-image-6.1.0-9-cloud-amd64-dbg",
    "linux-headers-6.1.0-9-cloud-amd64",
    "linux-image-6.1.0-56-cloud-amd64",
    "linux-image-6.1.0-56-cloud-amd64-dbg",
    "linux-headers-6.1.0-56-cloud-amd64",
    "linux-image-6.1.0-57-cloud-amd64",
    "linux-headers-6.1.0-57-cloud-amd64",
    "linux-image-6.1.0-58-cloud-amd64-unsigned",
    "linux-image-6.1.0-58-cloud-amd64-dbg",
    "linux-image-6.12.9+deb12-cloud-amd64",
    "linux-image-6.12.9+deb12-cloud-amd64-dbg",
    "linux-headers-6.12.9+deb12-cloud-amd64",
    "linux-image-6.12.117+deb12-cloud-amd64",
    "linux-image-6.12.117+deb12-cloud-amd64-dbg",
    "linux-headers-6.12.117+deb12-cloud-amd64",
    "linux-image-6.12.117+deb12-rt-amd64",
    "linux-image-6.12-cloud-amd64-dbg",
    "linux-image-cloud-amd64",
]


def test_the_newest_complete_kernel_comes_first() -> None:
    assert complete_releases("6.1", OFFERED) == ["6.1.0-56-cloud-amd64", "6.1.0-9-cloud-amd64"]
    assert complete_releases("6.12", OFFERED)[0] == "6.12.117+deb12-cloud-amd64"
    assert complete_releases("7.2", OFFERED) == []


@pytest.mark.parametrize("flavour", ["amd64", "rt-amd64", "cloud-amd64"])
def test_a_flavour_s_kernels_are_no_other_s(flavour: str) -> None:
    offered = [
        name
        for release in ("6.1.0-57", "6.1.0-9")
        for one in ("amd64", "rt-amd64", "cloud-amd64")
        for image in (f"linux-image-{release}-{one}",)
        for name in (image, f"{image}-dbg", f"linux-headers-{release}-{one}")
    ]
    series = "6.1" if flavour == "cloud-amd64" else f"6.1-{flavour}"
    assert complete_releases(series, offered) == [f"6.1.0-57-{flavour}", f"6.1.0-9-{flavour}"]


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, object]:
    """An archive that gives what the dictionary says, and an empty cache."""
    state: dict[str, object] = {"names": OFFERED, "gone": set(), "asked": 0}

    def names(self: Suite, pattern: str) -> list[str]:
        state["asked"] = int(str(state["asked"])) + 1
        if state["names"] is None:
            raise LabUnavailable("no network")
        return list(state["names"])  # type: ignore[call-overload, no-any-return]

    def downloadable(self: Suite, packages: list[str]) -> bool:
        return not set(packages) & set(state["gone"])  # type: ignore[call-overload]

    monkeypatch.setenv("OOPSIGHT_LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(Suite, "names", names)
    monkeypatch.setattr(Suite, "downloadable", downloadable)
    return state


def test_a_kernel_listed_but_gone_is_passed_over(archive: dict[str, object]) -> None:
    archive["gone"] = {"linux-image-6.1.0-56-cloud-amd64-dbg"}
    assert kernel("6.1").release == "6.1.0-9-cloud-amd64"


def test_the_archive_is_asked_once_a_day(archive: dict[str, object]) -> None:
    assert kernel("6.1") == kernel("6.1")
    assert archive["asked"] == 1


def test_a_kernel_in_the_cache_serves_without_network(
    archive: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = kernel("6.1")
    archive["names"] = None
    monkeypatch.setattr(kernel_module, "_CHOICE_VALID", 0)
    with pytest.raises(LabUnavailable, match="no network"):
        kernel("6.1")
    known.vmlinuz.parent.mkdir(parents=True)
    known.vmlinuz.touch()
    assert kernel("6.1") == known


def test_what_is_not_offered_is_unavailable(archive: dict[str, object]) -> None:
    with pytest.raises(LabUnavailable, match=r"offers no complete 7\.2"):
        kernel("7.2")
    with pytest.raises(LabUnavailable, match="the lab knows"):
        kernel("2.6")


def test_the_choice_is_kept_as_plain_data(archive: dict[str, object], tmp_path: Path) -> None:
    kernel("6.12")
    record = json.loads((tmp_path / "kernels" / "6.12.json").read_text())
    assert record == {
        "series": "6.12",
        "release": "6.12.117+deb12-cloud-amd64",
        "suite": "bookworm",
    }
