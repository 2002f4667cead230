"""Debian packages of any suite, without installing them and without touching the machine's apt.

Each suite gets an apt root of its own in the cache. It needs neither root nor the machine's
package lists; the mirror is the one that the machine itself uses.
"""

from __future__ import annotations

import re
import time
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from oopslab.cache import locked, root
from oopslab.command import run
from oopslab.errors import LabError, LabUnavailable

_MAIN = "http://deb.debian.org/debian"
_SECURITY = "http://deb.debian.org/debian-security"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LISTS_VALID = 24 * 3600  # seconds for which a suite's package lists are taken as current
_ROLLING = frozenset({"sid"})  # suites without a security archive


@cache
def mirrors() -> tuple[str, str]:
    """URIs of the Debian archive and of its security archive that this machine's apt uses."""
    main, security = _MAIN, _SECURITY
    try:
        lines = run(["apt-get", "indextargets", "--format", "$(CREATED_BY) $(REPO_URI) $(RELEASE)"])
    except LabError:
        return main, security
    for line in lines.splitlines():
        created_by, _, rest = line.partition(" ")
        uri, _, release = rest.partition(" ")
        if created_by != "Packages" or "debian" not in uri:
            continue
        if release.endswith("-security"):
            security = uri.rstrip("/")
        elif "-" not in release:
            main = uri.rstrip("/")
    return main, security


@dataclass(frozen=True)
class Suite:
    """One Debian suite, read through an apt root of its own."""

    name: str

    @property
    def _base(self) -> Path:
        return root() / "apt" / self.name

    @property
    def environment(self) -> dict[str, str]:
        """What makes apt's programs work on this suite."""
        return {"APT_CONFIG": str(self._base / "apt.conf"), "LC_ALL": "C"}

    def _configure(self) -> None:
        main, security = mirrors()
        for folder in ("lists/partial", "archives/partial", "parts"):
            (self._base / folder).mkdir(parents=True, exist_ok=True)
        (self._base / "status").touch()
        trust = f"[signed-by={_KEYRING}]" if _KEYRING.exists() else ""
        sources = [f"deb {trust} {main} {self.name} main"]
        if self.name not in _ROLLING:
            sources.append(f"deb {trust} {security} {self.name}-security main")
        (self._base / "sources.list").write_text("\n".join(sources) + "\n")
        (self._base / "apt.conf").write_text(
            f"""Dir::State "{self._base}";
Dir::State::lists "{self._base}/lists";
Dir::State::status "{self._base}/status";
Dir::Cache "{self._base}";
Dir::Cache::archives "{self._base}/archives";
Dir::Etc::sourcelist "{self._base}/sources.list";
Dir::Etc::sourceparts "{self._base}/parts";
Dir::Etc::preferencesparts "{self._base}/parts";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::Retries "3";
""",
        )

    def refresh(self) -> None:
        """Fetch the suite's package lists unless they are from today.

        Old lists serve where the archive cannot be reached; LabUnavailable where there are none.
        """
        stamp = self._base / "updated"
        with locked(self._base / "update"):
            if stamp.exists() and time.time() - stamp.stat().st_mtime < _LISTS_VALID:
                return
            self._configure()
            try:
                run(
                    ["apt-get", "-q", "update", "-o", "APT::Update::Error-Mode=any"],
                    env=self.environment,
                )
            except LabError as error:
                if stamp.exists():
                    return
                reason = str(error).splitlines()[-1]
                raise LabUnavailable(f"no package lists of Debian {self.name}: {reason}") from error
            stamp.touch()

    def names(self, pattern: str) -> list[str]:
        """Names of the packages that match the regular expression *pattern*."""
        self.refresh()
        found = run(["apt-cache", "search", "--names-only", pattern], env=self.environment)
        return [line.split(" ", 1)[0] for line in found.splitlines()]

    def depends(self, package: str) -> list[str]:
        """Names that *package* depends on, alternatives included."""
        self.refresh()
        lines = run(["apt-cache", "depends", package], env=self.environment).splitlines()
        return [line.split()[-1] for line in lines if "Depends:" in line]

    def libraries(self, package: str) -> list[str]:
        """Names of the library packages that *package* needs, directly or not."""
        options = ["--recurse", "--no-recommends", "--no-suggests", "--no-conflicts"]
        options += ["--no-breaks", "--no-replaces", "--no-enhances"]
        self.refresh()
        lines = run(["apt-cache", "depends", *options, package], env=self.environment).splitlines()
        found = {line for line in lines if re.match(r"lib[a-z0-9]", line)}
        return sorted(found)

    def needed(self, packages: list[str]) -> list[str]:
        """Names of *packages* and of all that they depend on, as apt would install them."""
        self.refresh()
        command = ["apt-get", "install", "--simulate", "--no-install-recommends", *packages]
        lines = run(command, env=self.environment).splitlines()
        return [line.split()[1] for line in lines if line.startswith("Inst ")]

    def downloadable(self, packages: list[str]) -> bool:
        """Whether the archive really holds *packages*; old suites list some that are gone."""
        self.refresh()
        lines = run(
            ["apt-get", "--print-uris", "download", *packages], env=self.environment
        ).splitlines()
        for uri in re.findall(r"^'(http[^']+)'", "\n".join(lines), re.MULTILINE):
            request = urllib.request.Request(uri, method="HEAD")
            try:
                urllib.request.urlopen(request, timeout=30).close()
            except OSError:
                return False
        return True

    def unpack(self, packages: list[str], target: Path) -> None:
        """Download *packages* and unpack their files under *target*; nothing is installed.

        :raises LabUnavailable: the archive does not offer one of them any more.
        """
        self.refresh()
        target.mkdir(parents=True, exist_ok=True)
        downloads = target / ".debs"
        downloads.mkdir(exist_ok=True)
        try:
            command = ["apt-get", "-q", "download", *packages]
            run(command, cwd=downloads, env=self.environment, timeout=1800)
        except LabError as error:
            (self._base / "updated").unlink(missing_ok=True)  # the lists are out of date
            raise LabUnavailable(f"Debian {self.name} does not give {packages}: {error}") from error
        for deb in sorted(downloads.glob("*.deb")):
            run(["dpkg", "-x", deb, target], timeout=900)
            deb.unlink()
        downloads.rmdir()
