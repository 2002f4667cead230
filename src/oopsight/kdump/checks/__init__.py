"""The links of the chain to a dump, one file each.

A file in this folder is a check, found by its place and named after the link. It holds a docstring,
which says what is looked at and why, and ``check(host) -> Result``. A check reads; it changes
nothing, and it says ``unknown`` where it could not look.
"""

from __future__ import annotations

import enum
import importlib
import pkgutil
from dataclasses import dataclass
from functools import cached_property

from oopsight.kdump import machine as machines
from oopsight.kdump.distros import Distro, detect
from oopsight.kdump.host import LiveProbe, NoProbe, Probe, Root


class Level(str, enum.Enum):
    """How a link stands: whole, doubtful, broken, or not to be seen from here."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Result:
    """What a check found, what that means for getting a dump, and how to mend it."""

    level: Level
    found: str
    meaning: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Named:
    """A check's name and its result."""

    name: str
    result: Result


class Host:
    """What checks and plans look at; distribution and machine are read once."""

    def __init__(self, root: Root, probe: Probe | None = None) -> None:
        self.root = root
        self.probe: Probe = probe or (LiveProbe() if root.is_live else NoProbe())

    @cached_property
    def distro(self) -> Distro:
        """The distribution's file."""
        return detect(self.root)

    @cached_property
    def machine(self) -> machines.Machine:
        """The state of the machine."""
        return machines.read(self.root)


def names() -> list[str]:
    """Names of all checks, sorted."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__))


def run(host: Host) -> list[Named]:
    """Run every check."""
    return [
        Named(name, importlib.import_module(f"{__name__}.{name}").check(host)) for name in names()
    ]


def ok(found: str, meaning: str = "") -> Result:
    """A whole link."""
    return Result(Level.OK, found, meaning)


def warn(found: str, meaning: str, remedy: str) -> Result:
    """A doubtful link."""
    return Result(Level.WARN, found, meaning, remedy)


def fail(found: str, meaning: str, remedy: str) -> Result:
    """A broken link: there will be no dump."""
    return Result(Level.FAIL, found, meaning, remedy)


def unknown(found: str, remedy: str = "") -> Result:
    """A link that cannot be seen from here."""
    return Result(Level.UNKNOWN, found, "whether a dump can be written does not show here", remedy)
