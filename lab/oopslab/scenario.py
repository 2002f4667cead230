"""Scenarios: what is to go wrong in the guest, and the truth about it.

A scenario is a folder under ``lab/scenarios``::

    scenario.json   how the guest is set up and how its end is recognised (see Settings)
    truth.json      the diagnosis, written by hand
    init.sh         shell functions of the guest: boot (before the /proc snapshot), workload (after)
    module/*.c      out-of-tree modules, one per file; *.h beside them
    user/*.c        programs of the guest, linked statically, put into /usr/bin
    files/          further files of the guest, by their path
    *.py            poke(prog), for actions: bytes by the address where the host writes them, found
                    in a drgn.Program of the guest as it is then; a fault of the hardware

A scenario that is ``like`` another takes all of the other's files and settings that it lacks.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from oopslab.errors import LabError

LAB = Path(__file__).resolve().parent.parent
SCENARIOS = LAB / "scenarios"
GUEST = LAB / "guest"

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DESCRIPTIONS = ("scenario.json", "truth.json")
_FOR_TESTS = ("summary", "kernels", "captures", "heavy")
_PASTING = re.compile(
    r"\b(?:DEFINE_SHOW_ATTRIBUTE|DEVICE_ATTR_(?:RO|RW|WO)|ATTRIBUTE_GROUPS|CONTROL_FILE)\((\w+)"
)
"""Macros that paste further names together with the one they are given."""
_PASTED = (
    *("{}_show", "{}_store", "{}_open", "{}_write", "{}_fops", "{}_file_ops", "dev_attr_{}"),
    *("{}_attrs", "{}_group", "{}_groups"),
)
"""Those names, which go on belonging to it under a new one."""
_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]


@dataclass(frozen=True)
class Action:
    """Something done to the guest from outside once its console shows *after*."""

    after: str  # regular expression
    execute: str | None = None  # QMP command
    arguments: dict[str, Any] = field(default_factory=dict)  # of that command
    poke: str | None = None  # file of the scenario: what to write into the guest's memory


@dataclass(frozen=True)
class Settings:
    """What ``scenario.json`` may say."""

    summary: str  # one line, for ``lab.py list``
    expect: tuple[str, ...]  # regular expressions, found on the console in this order
    kernels: tuple[str, ...] = ("6.1", "6.12")  # series on which it is known to work
    captures: tuple[str, ...] = ("qmp",)  # the ways to a dump which the tests take
    heavy: bool = False  # made on demand only: too slow or too big for each run of the tests
    like: str | None = None  # the scenario it is a variant of
    rename: tuple[str, ...] = ()  # beginnings of the identifiers which --rename changes
    cmdline: str = ""  # added to the kernel's command line
    sysctl: tuple[str, ...] = ()  # added to kernel.panic_on_oops=1
    memory: int = 256  # MiB
    cpus: int = 2
    cpu: str = "max,la57=off"  # QEMU's model; with la57=on, five levels of page tables
    kernel_modules: tuple[str, ...] = ()  # of the distribution, loaded at boot
    packages: tuple[str, ...] = ()  # Debian packages whose files the guest has
    end: str = r"---\[ end Kernel panic"  # regular expression: the guest is dead
    timeout: int = 120  # seconds until the end, where that is more than PATIENCE
    snapshot: bool = True  # the guest lives long enough to save its /proc files
    dump_level: int | None = None  # of makedumpfile; None: as much as is safe for the kernel
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """A scenario with its files, renamed if asked for."""

    name: str
    settings: Settings
    truth: dict[str, Any]
    texts: dict[str, str]  # path in the scenario's folder: content
    seed: str | None = None

    @property
    def digest(self) -> str:
        """Changes with whatever makes another dump: not with what is told of it or of the tests."""
        shared = {path.name: path.read_text() for path in guest_files(self.texts)}
        texts = {path: text for path, text in self.texts.items() if path not in _DESCRIPTIONS}
        settings = json.loads(self.texts["scenario.json"])
        settings = {key: value for key, value in settings.items() if key not in _FOR_TESTS}
        material = json.dumps([texts, settings, shared], sort_keys=True)
        return hashlib.sha256(material.encode()).hexdigest()[:12]

    def under(self, folder: str) -> dict[str, str]:
        """The files below *folder*, by their path in it."""
        prefix = f"{folder}/"
        return {
            path.removeprefix(prefix): text
            for path, text in self.texts.items()
            if path.startswith(prefix)
        }

    def modules(self) -> list[str]:
        """Names of the out-of-tree modules."""
        return sorted(Path(path).stem for path in self.under("module") if path.endswith(".c"))


def guest_files(texts: dict[str, str]) -> list[Path]:
    """The shared files that a scenario with *texts* uses: of the headers, only what it includes."""
    headers = {path.name: path for path in GUEST.glob("*.h")}
    used: dict[str, Path] = {}
    waiting = list(texts.values())
    while waiting:
        for name in re.findall(r'#include "(\w+\.h)"', waiting.pop()):
            if name in headers and name not in used:
                used[name] = headers[name]
                waiting.append(headers[name].read_text())
    others = [path for path in GUEST.iterdir() if path.suffix != ".h"]
    return sorted([*others, *used.values()])


def scenarios() -> list[str]:
    """Names of all scenarios."""
    return sorted(path.parent.name for path in SCENARIOS.glob("*/scenario.json"))


def load(name: str, seed: str | None = None) -> Scenario:
    """Read the scenario *name*; with a *seed*, all that its modules are called is replaced.

    :raises LabError: there is none of that name, or its description is wrong.
    """
    texts = _texts(name)
    settings = _settings(name, texts)
    if seed is not None:
        words = _new_names(texts, settings.rename, seed)
        texts = {_renamed(path, words): _renamed(text, words) for path, text in texts.items()}
        settings = _settings(name, texts)
    truth = json.loads(texts["truth.json"])
    truth["scenario"] = name
    return Scenario(name, settings, truth, texts, seed)


def _texts(name: str) -> dict[str, str]:
    folder = SCENARIOS / name
    if not (folder / "scenario.json").is_file():
        raise LabError(f"no scenario {name!r}: see lab.py list")
    own = {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    base = json.loads(own["scenario.json"]).get("like")
    if base is None:
        return own
    inherited = _texts(base)
    merged = {**inherited, **own}
    for path in ("scenario.json", "truth.json"):
        values = {**json.loads(inherited[path]), **json.loads(own.get(path, "{}"))}
        merged[path] = json.dumps(values, indent=2)
    return merged


def _settings(name: str, texts: dict[str, str]) -> Settings:
    values = json.loads(texts["scenario.json"])
    unknown = set(values) - {one.name for one in fields(Settings)}
    if unknown:
        raise LabError(f"{name}/scenario.json: unknown {sorted(unknown)}")
    values["actions"] = [Action(**action) for action in values.get("actions", [])]
    frozen: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in values.items()
    }
    return Settings(**frozen)


def _new_names(texts: dict[str, str], prefixes: tuple[str, ...], seed: str) -> dict[str, str]:
    """A new name for each identifier that begins with one of *prefixes*.

    Part of a name in what is expected on the console stands for any new one.
    """
    if not prefixes:
        return {}
    material = [*texts, *texts.values()]
    found = {word for text in material for word in _IDENTIFIER.findall(text)}
    named = {w for path, text in texts.items() if path != "scenario.json" for w in
             _IDENTIFIER.findall(f"{path} {text}")}  # fmt: skip
    chance = random.Random(seed)
    words: dict[str, str] = {}
    for word in sorted(word for word in found if word.startswith(prefixes)):
        while True:
            # Five syllables: within the 15 bytes of a task's name, and no word of C.
            new = "".join(chance.choices(_SYLLABLES, k=5))
            if new not in found and new not in words.values():
                break
        words[word] = new.upper() if word.isupper() else new
        if word not in named:
            words[word] = "[a-z]+"
    for base in {base for text in texts.values() for base in _PASTING.findall(text)} & set(words):
        words |= {form.format(base): form.format(words[base]) for form in _PASTED}
    return words


def _renamed(text: str, words: dict[str, str]) -> str:
    return _IDENTIFIER.sub(lambda match: words.get(match[0], match[0]), text)
