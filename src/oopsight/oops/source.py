"""``func+0x1a/0x40`` to file and line, with what was inlined there, from debug information.

A kernel's text is wherever it was loaded; only symbols and offsets matter here, so that the files
are read at addresses of our own choice. The size behind the slash guards against another build.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oopsight.cheap import replace
from oopsight.oops.facts import CrashReport, Frame, Stack

if TYPE_CHECKING:
    from drgn import Program, Symbol

# ELF's e_machine to drgn's name of the architecture.
_MACHINES = {62: "X86_64", 3: "I386", 183: "AARCH64", 40: "ARM", 22: "S390X", 21: "PPC64",
             243: "RISCV64"}  # fmt: skip
_IMAGE = (0xFFFFFFFF80000000, 0xFFFFFFFFC0000000)
_MODULES = 0x10000000
_MODULE_STRIDE = 0x10000000
_SECTIONS = (".text", ".text.unlikely", ".text.hot", ".init.text", ".exit.text", ".noinstr.text")
_SECTION_STRIDE = 0x2000000
# kallsyms counts a function's size to the next one, and so the padding between them.
_MOST_PADDING = 128
_MOST_FILES = 100_000


class SourceLines:
    """Debug information of one kernel, opened as frames need it."""

    def __init__(self, vmlinux: Path | None, directories: Sequence[Path] = ()) -> None:
        self.vmlinux = vmlinux
        self.directories = tuple(directories)
        self.problems: list[str] = []
        """What could not be used, and why."""
        self._program: Program | None = None
        self._modules: dict[str, tuple[int, int] | None] = {}

    def located(self, report: CrashReport) -> CrashReport:
        """The report with files, lines and inlined calls in every stack."""
        vmlinux = self.vmlinux or self._find_vmlinux(report.release)
        if vmlinux is None:
            return report
        program = self._open(vmlinux)
        if program is None:
            return report
        stacks = tuple(
            Stack(stack.role, tuple(self._frames(program, stack.frames))) for stack in report.stacks
        )
        pointer = report.instruction
        if pointer is not None:
            pointer = list(self._frames(program, [pointer]))[-1]
        changed = replace(report, stacks=stacks, instruction=pointer)
        if report.guilty_file is None:
            from oopsight.oops.blame import guilty_file

            crash = [frame for stack in stacks if stack.role == "crash" for frame in stack.frames]
            changed = replace(changed, guilty_file=guilty_file(crash))
        return changed

    def _open(self, vmlinux: Path) -> Program | None:
        if self._program is not None and self.vmlinux == vmlinux:
            return self._program
        os.environ.setdefault("DRGN_DISABLE_PLUGINS", "*")
        import drgn

        try:
            program = drgn.Program(_platform(vmlinux))
            module = program.extra_module("vmlinux", create=True)
            module.address_range = _IMAGE
            module.try_file(vmlinux, force=True)
        except (ValueError, OSError, LookupError) as error:
            self.problems.append(f"{vmlinux}: {error}")
            return None
        if module.debug_file_status != drgn.ModuleFileStatus.HAVE:
            self.problems.append(f"{vmlinux}: holds no debug information")
            return None
        self.vmlinux = vmlinux
        self._program = program
        self._modules.clear()
        return program

    def _frames(self, program: Program, frames: Sequence[Frame]) -> Iterator[Frame]:
        for position, frame in enumerate(frames):
            if frame.inline or frame.offset is None or frame.file is not None:
                yield frame
                continue
            # A return address is behind its call; the innermost frame's is the instruction itself.
            back = 1 if position and frame.offset else 0
            locations = self._locations(program, frame, back)
            if not locations:
                yield frame
                continue
            for function, file, line in locations[:-1]:
                yield Frame(function or "?", None, None, frame.module, file, line,
                            frame.reliable, inline=True)  # fmt: skip
            _, file, line = locations[-1]
            yield replace(frame, file=file, line=line)

    def _locations(
        self, program: Program, frame: Frame, back: int
    ) -> list[tuple[str | None, str, int]]:
        window = self._module(program, frame.module) if frame.module else _IMAGE
        if window is None or frame.offset is None:
            return []
        symbol = _symbol(program, frame, window)
        if symbol is None:
            return []
        try:
            found = program.source_location(symbol.address + frame.offset - back)
        except LookupError:
            return []
        return [(one.name(), _short(one.filename), one.line) for one in found if one.filename]

    def _module(self, program: Program, name: str) -> tuple[int, int] | None:
        """Where the module's file was put; ``None`` if there is none."""
        if name not in self._modules:
            self._modules[name] = self._load(program, name, len(self._modules))
        return self._modules[name]

    def _load(self, program: Program, name: str, number: int) -> tuple[int, int] | None:
        import drgn

        path = next((f for d in self._places() if (f := _module_files(d).get(name))), None)
        if path is None:
            return None
        base = _MODULES + number * _MODULE_STRIDE
        try:
            module = program.relocatable_module(name, base, create=True)
            module.address_range = (base, base + _MODULE_STRIDE)
            for index, section in enumerate(_SECTIONS):
                module.section_addresses[section] = base + index * _SECTION_STRIDE
            module.try_file(path, force=True)
        except (ValueError, OSError, LookupError) as error:
            self.problems.append(f"{path}: {error}")
            return None
        if module.debug_file_status != drgn.ModuleFileStatus.HAVE:
            self.problems.append(f"{path}: holds no debug information")
            return None
        return base, base + _MODULE_STRIDE

    def _places(self) -> tuple[Path, ...]:
        beside = (self.vmlinux.parent,) if self.vmlinux else ()
        return self.directories or beside

    def _find_vmlinux(self, release: str | None) -> Path | None:
        if not release:
            return None
        for directory in self.directories:
            for name in (
                f"boot/vmlinux-{release}",
                f"vmlinux-{release}",
                f"usr/lib/debug/boot/vmlinux-{release}",
                f"lib/modules/{release}/vmlinux",
                f"usr/lib/debug/lib/modules/{release}/vmlinux",
                f"{release}/vmlinux",
                "vmlinux",
            ):
                if (directory / name).is_file():
                    return directory / name
        return None


def _platform(path: Path) -> Any:
    """The platform of an ELF file, for a program without a target.

    :raises ValueError: if it is no ELF file, or of a machine that is not read
    """
    import drgn

    with path.open("rb") as file:
        header = file.read(20)
    if header[:4] != b"\x7fELF":
        raise ValueError("not an ELF file")
    order = "little" if header[5] == 1 else "big"
    machine = _MACHINES.get(int.from_bytes(header[18:20], order))  # type: ignore[arg-type]  # a literal of two
    if machine is None:
        raise ValueError("of a machine that is not read")
    return drgn.Platform(getattr(drgn.Architecture, machine))


@functools.lru_cache(maxsize=16)
def _module_files(directory: Path) -> dict[str, Path]:
    """Files of modules under a directory by the name that the kernel gives them."""
    found: dict[str, Path] = {}
    for count, path in enumerate(directory.rglob("*.ko*")):
        if count >= _MOST_FILES:
            break
        if path.name.endswith((".ko", ".ko.debug")):
            found.setdefault(path.name.split(".ko")[0].replace("-", "_"), path)
    return found


def _symbol(program: Program, frame: Frame, window: tuple[int, int]) -> Symbol | None:
    """The symbol of that name whose size fits best; names of static functions repeat."""
    best = None
    for symbol in program.symbols(frame.function):
        if not window[0] <= symbol.address < window[1]:
            continue
        extra = (frame.size or symbol.size) - symbol.size
        if 0 <= extra < _MOST_PADDING and (best is None or extra < best[0]):
            best = extra, symbol
    return best[1] if best else None


def _short(path: str) -> str:
    """The path within the kernel's tree."""
    from oopsight.plumbing import source_path

    return source_path(f"{path}:0")
