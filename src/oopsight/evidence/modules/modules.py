"""Kernel modules: loaded, tainting, and the last one that was unloaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, missing_from
from oopsight.evidence.pointers import ModulePointer
from oopsight.kernel.holes import read_with_holes
from oopsight.session import Session
from oopsight.text import c_string, printable
from oopsight.walk import MOST_MODULES, each_once

_MOST_CONTENTS = 1 << 20
"""Bytes of one part of a module's memory."""
# What a hostile list may make us walk; distributions load some hundreds.


@dataclass(frozen=True)
class Module:
    """A loaded module."""

    name: str
    base: Address
    ranges: tuple[tuple[Address, Address], ...]
    """Half-open address ranges of its memory."""
    taints: str
    """Its own taint letters: ``O`` out of tree, ``E`` unsigned, ``P`` proprietary …"""

    @property
    def pointer(self) -> ModulePointer:
        """For the proof."""
        return ModulePointer(self.name, loaded=True, base=self.base)

    def holds(self, address: int) -> bool:
        """Whether the address lies in its memory."""
        return any(start <= address < end for start, end in self.ranges)


@dataclass(frozen=True)
class Modules:
    """The module list and the area of memory that modules live in."""

    loaded: tuple[Module, ...]
    damaged: tuple[Missing, ...]
    """Entries that could not be read, with the reason."""
    last_unloaded: str | None
    """``last_unloaded_module``: the kernel remembers one name."""
    area: tuple[Address, Address] | None
    """Half-open range of the module area, ``MODULES_VADDR`` to ``MODULES_END``."""
    unloaded_tainted: tuple[tuple[str, str], ...] = ()
    """Unloaded modules that tainted, with their taint mask; only some kernels remember them."""

    def owner(self, address: int) -> Module | None:
        """The loaded module whose memory holds the address."""
        return next((module for module in self.loaded if module.holds(address)), None)

    def in_area(self, address: int) -> bool:
        """Whether the address lies where modules are loaded."""
        return self.area is not None and self.area[0] <= address < self.area[1]

    @property
    def last_unloaded_pointer(self) -> ModulePointer | None:
        """For the proof."""
        if self.last_unloaded is None:
            return None
        return ModulePointer(self.last_unloaded, loaded=False, base=None)


def contents(session: Session, module: Module) -> Iterator[tuple[int, bytes]]:
    """Each part of a module's memory from its beginning, a MiB at most; zeros for missing pages."""
    for start, stop in module.ranges:
        yield start, read_with_holes(session, start, min(stop - start, _MOST_CONTENTS))


def _last_unloaded(prog: Any) -> str | None:
    try:
        last = prog["last_unloaded_module"]
    except KeyError:
        return None
    try:
        raw = c_string(last.name)  # a struct since Linux 6.1 (commit 6f1dae1d84b6)
    except AttributeError:
        raw = c_string(last)  # a string, with the taints behind the name
    return printable(raw).split("(")[0].strip() or None


def _unloaded_tainted(prog: Any) -> tuple[tuple[str, str], ...]:
    """``unloaded_tainted_modules``, since 5.18 with CONFIG_MODULE_UNLOAD_TAINT_TRACKING."""
    from drgn import FaultError
    from drgn.helpers.linux.list import list_for_each_entry

    found: list[tuple[str, str]] = []
    try:
        head = prog["unloaded_tainted_modules"].address_of_()
        entries = list_for_each_entry("struct mod_unload_taint", head, "list")
        for entry in each_once(entries, MOST_MODULES):
            name, taints = printable(c_string(entry.name)), entry.taints.value_()
            found.append((name, f"{taints:#x}"))
    except (LookupError, FaultError, AttributeError):
        pass  # not in this kernel, or damaged: what was read counts
    return tuple(found)


def _area(prog: Any) -> tuple[Address, Address] | None:
    # x86-64: 512 MiB image, then modules to the fixmap (Documentation/arch/x86/x86_64/mm.rst). With
    # KASLR the image takes 1 GiB.
    from drgn import Architecture

    if prog.platform is None or prog.platform.arch != Architecture.X86_64:
        return None
    image = 1 << 30 if "KERNELOFFSET" in c_string(prog["VMCOREINFO"]).decode() else 512 << 20
    return Address(0xFFFFFFFF80000000 + image), Address(0xFFFFFFFFFF000000)


def _or_none(read: Callable[[Any], Any], prog: Any) -> Any:
    from drgn import FaultError

    try:
        return read(prog)
    except (FaultError, LookupError):
        return None


def collect(session: Session) -> Modules:
    """Walk ``modules``."""
    from drgn import FaultError
    from drgn.helpers.linux.module import for_each_module, module_address_regions, module_taints

    loaded: list[Module] = []
    damaged: list[Missing] = []
    walk = each_once(for_each_module(session.prog), MOST_MODULES)
    while True:
        try:
            entry = next(walk)
        except StopIteration:
            break
        except FaultError as error:
            damaged.append(missing_from(error))
            break
        try:
            regions = module_address_regions(entry)
            ranges = tuple((Address(s), Address(s + size)) for s, size in regions if size)
            name = printable(c_string(entry.name))
            loaded.append(Module(name, ranges[0][0], ranges, module_taints(entry)))
        except (FaultError, IndexError) as error:
            damaged.append(missing_from(error))
    return Modules(
        loaded=tuple(loaded),
        damaged=tuple(damaged),
        last_unloaded=_or_none(_last_unloaded, session.prog),
        area=_or_none(_area, session.prog),
        unloaded_tainted=_unloaded_tainted(session.prog),
    )
