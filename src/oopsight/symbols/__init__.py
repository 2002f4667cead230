"""Find the vmlinux whose build ID is in the dump, and keep what was tried.

A ladder of sources, one file each under ``sources/``, is climbed until one has the right build.
What each of them answered is kept (:class:`Attempt`), because "no symbols" is only useful together
with where they were looked for.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from oopsight.cheap import dataclass, field
from oopsight.dump import VmcoreInfo
from oopsight.dump.elf import ElfFile, MalformedElfError
from oopsight.errors import SymbolError, WrongBuildError
from oopsight.symbols import sources
from oopsight.symbols.seal import SealCheck, is_pack

__all__ = ["Attempt", "DumpMemory", "SymbolStatus", "Wanted", "build_id_of", "find_vmlinux"]

USED = "used"
ABSENT = "absent"
WRONG_BUILD = "wrong build"
UNUSABLE = "unusable"
SKIPPED = "skipped"


@dataclass(frozen=True)
class DumpMemory:
    """The memory of an opened dump, before there are any symbols."""

    read: Callable[[int, int], bytes]
    """Virtual address, bytes.

    :raises SymbolError: where the dump has no memory
    """
    vmcoreinfo: VmcoreInfo
    machine: str | None
    whole: bool = True
    """Whether all of the dump is there: what is made of a damaged one serves no other."""


@dataclass(frozen=True)
class Wanted:
    """The kernel whose symbols are looked for, and where the user said to look."""

    release: str | None
    """``uname -r`` of the crashed kernel."""
    build_id: str | None
    """GNU build ID of its vmlinux, lower-case hex."""
    vmlinux: Path | None = None
    """``--vmlinux``: this file and no other."""
    debug_directories: tuple[Path, ...] = ()
    """``--debug-dir``: searched before the system's own."""
    own: bool = False
    """``--symbols dump``: no debug packages, only what dumps themselves hold."""
    memory: Callable[[], DumpMemory] | None = None
    """Opens the dump, where only its own memory is left to look into."""
    meanwhile: Callable[[], object] = lambda: None
    """What to do while a pack is read through, which leaves Python idle."""
    remarks: list[str] = field(default_factory=list)
    """What a source wants to say of the file that it yields next."""


@dataclass(frozen=True)
class Attempt:
    """One place where symbols were looked for, and what came of it."""

    source: str
    location: str
    outcome: str
    """``used``, ``absent``, ``wrong build``, ``unusable`` or ``skipped``."""
    detail: str = ""


@dataclass(frozen=True)
class SymbolStatus:
    """What the symbols of a session stand on."""

    path: Path | None
    """The file used; ``None`` where no source had one."""
    source: str | None
    """Name of the source that had it."""
    attempts: tuple[Attempt, ...]
    pack: bool = False
    """Whether it is a symbol pack."""
    lines: bool = False
    """Whether it is a pack made of a vmlinux, with source lines and inlined calls."""

    @property
    def basis(self) -> str:
        """What all facts of the session stand on, for the report."""
        if self.path is None:
            return "no symbols"
        if not self.pack:
            return "debug information"
        if self.lines:
            return "a symbol pack made of debug information: no local variables"
        return "the dump's own symbols, types and unwind tables: no inlined calls or source lines"


def build_id_of(path: Path) -> str | None:
    """GNU build ID of an ELF file in lower-case hex, ``None`` where it has none.

    :raises SymbolError: if the file cannot be read or is no ELF file
    """
    try:
        with path.open("rb") as file:
            return ElfFile(file).build_id()
    except MalformedElfError as error:
        raise SymbolError(f"{path}: {error}; a vmlinux with debug information is needed") from None
    except OSError as error:
        raise SymbolError(f"{path}: {error.strerror or error}") from None


def has_lines(pack: Path) -> bool:
    """Whether a pack tells source lines and inlined calls."""
    with pack.open("rb") as file:
        return any(section.name == ".debug_line" for section in ElfFile(file).sections())


def package_hint(release: str | None) -> str:
    """Say which package has the symbols of a kernel release, by the distribution's own naming."""
    if not release:
        return "the debug package of the crashed kernel"
    if ".el" in release or ".fc" in release:
        return f"kernel-debuginfo-{release}"
    if release.endswith("-default"):
        return "kernel-default-debuginfo of the same version"
    if release.endswith(("-generic", "-lowlatency", "-aws", "-azure", "-gcp", "-kvm", "-oracle")):
        return f"linux-image-{release}-dbgsym"
    return f"linux-image-{release}-dbg"


def _ladder() -> list[ModuleType]:
    modules = [
        importlib.import_module(f"{sources.__name__}.{info.name}")
        for info in pkgutil.iter_modules(sources.__path__)
    ]
    return sorted(modules, key=lambda module: int(module.ORDER))


def _check(source: str, path: Path, wanted: Wanted, *, sealed: bool) -> Attempt:
    try:
        found = build_id_of(path)
        if sealed or is_pack(path):
            check = SealCheck(path)
            wanted.meanwhile()
            check.finish()
    except SymbolError as error:
        return Attempt(source, str(path), UNUSABLE, str(error))
    if wanted.build_id is None:
        detail = "the dump has no build ID, so that the build could not be compared"
        return Attempt(source, str(path), USED, detail)
    if found != wanted.build_id:
        return Attempt(source, str(path), WRONG_BUILD, f"its build ID is {found or 'missing'}")
    return Attempt(source, str(path), USED, "; ".join(wanted.remarks))


def find_vmlinux(wanted: Wanted) -> SymbolStatus:
    """Climb the ladder of sources.

    :return: the status; its ``path`` is ``None`` where no source had the right build
    :raises WrongBuildError: if the file given by the user is of another build
    :raises SymbolError: if the file given by the user cannot be used at all
    """
    attempts: list[Attempt] = []
    for module in _ladder():
        source = module.__name__.rpartition(".")[2].replace("_", "-")
        reason = module.unavailable(wanted)
        if wanted.own and not getattr(module, "OWN", False):
            reason = "--symbols dump was given"
        if reason:
            attempts.append(Attempt(source, "", SKIPPED, reason))
            continue
        found = False
        try:
            for path in module.candidates(wanted):
                found = True
                attempt = _check(source, path, wanted, sealed=getattr(module, "SEALED", False))
                attempts.append(attempt)
                if attempt.outcome == USED:
                    pack = is_pack(path)
                    lines = pack and has_lines(path)
                    return SymbolStatus(path, source, tuple(attempts), pack, lines)
                if module.DECISIVE:
                    _refuse(attempt, wanted)
        except SymbolError as error:
            if module.DECISIVE:
                raise
            attempts.append(Attempt(source, module.searched(wanted), UNUSABLE, str(error)))
            continue
        if not found:
            attempts.append(Attempt(source, module.searched(wanted), ABSENT))
    return SymbolStatus(None, None, tuple(attempts))


def _refuse(attempt: Attempt, wanted: Wanted) -> None:
    if attempt.outcome == UNUSABLE:
        raise SymbolError(attempt.detail)
    raise WrongBuildError(
        f"{attempt.location} is of another build: {attempt.detail}, the dump's is "
        f"{wanted.build_id} (kernel {wanted.release}); install {package_hint(wanted.release)}"
    )
