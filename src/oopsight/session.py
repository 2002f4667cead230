"""A dump opened for reading: the only maker of a ``drgn.Program``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from oopsight.cheap import dataclass
from oopsight.dump import DumpInfo, identify
from oopsight.errors import DamagedDumpError, SymbolError
from oopsight.lost_vmcoreinfo import program, with_vmcoreinfo
from oopsight.symbols import DumpMemory, SymbolStatus, Wanted, find_vmlinux, package_hint
from oopsight.symbols.lookup import SymbolTable, install, install_modules
from oopsight.symbols.module_btf import ModuleTypes
from oopsight.symbols.module_names import ModuleNames
from oopsight.symbols.module_places import Place, module_places

if TYPE_CHECKING:
    from drgn import FindObjectFlags, Object, Program

RECORDER = "oopsight-recorder"
"""In the program's cache: what keeps the pages that are read, where a minicore is made."""
LEFT_OUT = "Excluded page"
"""How libkdumpfile says that a page is not in the dump, though the machine had it."""
NOT_KEPT = "not in this minicore"
"""What is said of such a page where the dump was cut down to what its verdict needs."""


@contextlib.contextmanager
def unrecorded(prog: Program) -> Iterator[None]:
    """Read without keeping what is read for a minicore, as much of it may be anybody's."""
    recorder = prog.cache.get(RECORDER)
    before = recorder.recording if recorder is not None else False
    try:
        if recorder is not None:
            recorder.recording = False
        yield
    finally:
        if recorder is not None:
            recorder.recording = before


class NoSymbolsError(SymbolError):
    """No source has symbols of the dump's kernel; its log may still be read."""

    def __init__(self, message: str, info: DumpInfo, symbols: SymbolStatus) -> None:
        super().__init__(message)
        self.info, self.symbols = info, symbols

    @property
    def summary(self) -> str:
        """One line for a reader who still gets the log: what is missing, and what would help."""
        last = self.symbols.attempts[-1]
        return (
            f"{self.info.path}: no symbols for kernel {self.info.release} in {last.source} "
            f"({last.detail or last.outcome}) or elsewhere; this report is made from the kernel "
            f"log alone, {package_hint(self.info.release)} would give the rest"
        )


@dataclass(frozen=True)
class Session:
    """A dump, what is known of the file, and the symbols it is read with."""

    prog: Program
    info: DumpInfo
    symbols: SymbolStatus
    debug_directories: tuple[Path, ...] = ()
    source_tree: Path | None = None
    """Kernel source of the same version, for source lines around the fault."""
    own_symbols: bool = False
    """Whether only what the dump itself holds may be used."""

    @property
    def module_places(self) -> tuple[Place, ...]:
        """Folders with files of the dump's modules."""
        if self.own_symbols:
            return ()
        return module_places(self.info.path, self.info.release, self.debug_directories)

    def again(self) -> Session:
        """Open the same dump with the same symbols, and with nothing that was loaded since.

        :raises DumpError: if it cannot be opened any more
        :raises SymbolError: if its symbols are gone
        """
        return open_session(
            self.info.path,
            vmlinux=self.symbols.path,
            debug_directories=self.debug_directories,
            source_tree=self.source_tree,
            own_symbols=self.own_symbols,
        )

    def read(self, address: int, size: int) -> bytes:
        """Read virtual memory.

        :raises drgn.FaultError: if any of it is not mapped or not in the dump
        """
        import drgn

        try:
            data: bytes = self.prog.read(address, size)
        except drgn.FaultError as error:
            if self.info.minicore and LEFT_OUT in str(error):
                raise drgn.FaultError(NOT_KEPT, error.address) from None
            raise
        return data


def read_word(session: Session, address: int) -> int | None:
    """A word of 8 bytes; ``None`` where it is not mapped, not in the dump or no address."""
    import drgn

    try:
        return int.from_bytes(session.read(address, 8), "little")
    except (drgn.FaultError, OverflowError):
        return None


def open_session(
    path: str | os.PathLike[str],
    *,
    vmlinux: Path | None = None,
    debug_directories: tuple[Path, ...] = (),
    source_tree: Path | None = None,
    own_symbols: bool = False,
    watch: Callable[[Program, DumpInfo], None] | None = None,
) -> Session:
    """Open a dump with the symbols of its own build.

    :param vmlinux: use this file and no other; a vmlinux or a symbol pack
    :param debug_directories: searched before the system's own
    :param source_tree: kernel source of the same version
    :param own_symbols: use what the dump itself holds, even where a debug package is at hand
    :param watch: given the program before anything is read from the dump
    :raises DumpError: if the dump cannot be opened
    :raises NoSymbolsError: if no symbols of its build are found
    :raises SymbolError: if what was given cannot be used
    """
    info = with_vmcoreinfo(identify(path))
    programs: list[Program] = []

    def opened(*, small: bool = True) -> Program:
        if not programs:
            programs.append(_open(info, watch, small=small))
        return programs[0]

    wanted = Wanted(
        release=info.release,
        build_id=info.build_id,
        vmlinux=vmlinux,
        debug_directories=debug_directories,
        own=own_symbols,
        # The last resort, which makes a pack.
        memory=lambda: dump_memory(opened(), info),
        meanwhile=opened,
    )
    symbols = find_vmlinux(wanted)
    if symbols.path is None:
        tried = "; ".join(f"{a.source}: {a.detail or a.outcome}" for a in symbols.attempts)
        raise NoSymbolsError(
            f"{info.path}: no symbols for kernel {info.release} (build ID {info.build_id}); "
            f"install {package_hint(info.release)} or give --vmlinux; tried {tried}",
            info,
            symbols,
        )
    prog = opened(small=symbols.pack)
    _load(prog, symbols.path, info)
    _name_symbols(prog, symbols, info)
    return Session(prog, info, symbols, debug_directories, source_tree, own_symbols)


def own_pack(path: str | os.PathLike[str]) -> tuple[str, bytes]:
    """Make the symbol pack of a dump's kernel from the dump.

    :return: its build ID, and the pack
    :raises DumpError: if the dump cannot be opened
    :raises SymbolError: if it lacks what a pack is made of
    """
    info = with_vmcoreinfo(identify(path))
    from oopsight.symbols.sources.dump import build

    image = build(raw_memory(info))
    return str(info.build_id), image


def raw_memory(info: DumpInfo) -> DumpMemory:
    """The memory of a dump for which there are no symbols.

    :raises DumpError: if the dump cannot be opened
    """
    return dump_memory(_open(info), info)


def _open(
    info: DumpInfo,
    watch: Callable[[Program, DumpInfo], None] | None = None,
    *,
    small: bool = False,
) -> Program:
    prog = program(info, small=small)
    try:
        _set_core_dump(prog, info)
    except Exception as error:  # noqa: BLE001  # libkdumpfile's errors are of the base class
        missing = f" ({'; '.join(info.problems)})" if info.problems else ""
        raise DamagedDumpError(f"{info.path}: cannot be opened: {error}{missing}") from None
    if watch is not None:
        watch(prog, info)
    return prog


def dump_memory(prog: Program, info: DumpInfo) -> DumpMemory:
    """Return the memory of a dump, for those who look for symbols or for the log in it.

    Where the kernel's page tables are damaged, its own image is read all the same: x86-64 maps it
    in one piece, from ``phys_base`` on.
    """
    import drgn

    def read(address: int, size: int) -> bytes:
        try:
            data: bytes = prog.read(address, size)
        except drgn.FaultError as error:
            refused = f"{address:#x}, {size} bytes: {error}"
        else:
            return data
        physical = info.vmcoreinfo.image_physical(address)
        if physical is None:
            raise SymbolError(refused)
        try:
            data = prog.read(physical, size, physical=True)
        except drgn.FaultError:
            raise SymbolError(refused) from None
        return data

    return DumpMemory(read, info.vmcoreinfo, info.machine, info.complete)


def _set_core_dump(prog: Program, info: DumpInfo) -> None:
    if info.format != "kdump-flattened" or not info.problems:
        prog.set_core_dump(info.path)
        return
    # libkdumpfile refuses a flattened dump that is cut off; put in order, most of it is readable.
    import tempfile

    from oopsight.dump.formats.kdump_flattened import Flattened

    with info.path.open("rb") as file, tempfile.TemporaryFile() as ordered:
        Flattened(file).copy_to(ordered)
        # The descriptor stays open with the program, the file has no name.
        prog.set_core_dump(os.dup(ordered.fileno()))


def _load(prog: Program, vmlinux: Path, info: DumpInfo) -> None:
    import drgn

    # Modules' debug information is not loaded: it costs 15-20 ms each, and names come from the
    # modules' own kallsyms below.
    prog.set_enabled_debug_info_finders([])
    try:
        prog.load_debug_info([vmlinux], main=True)
    except drgn.MissingDebugInfoError:
        pass  # said of the loadable modules; the kernel itself is checked next
    except (drgn.FaultError, ValueError, OSError, LookupError) as error:
        raise DamagedDumpError(f"{info.path}: {error}") from None
    if prog.main_module().debug_file_status != drgn.ModuleFileStatus.HAVE:
        raise SymbolError(
            f"{vmlinux}: holds no debug information; install {package_hint(info.release)}"
        )


def _vmemmap(
    prog: Program, name: str, flags: FindObjectFlags, filename: str | None
) -> Object | None:
    """As an object finder: the array of all pages, which drgn itself finds in DWARF alone."""
    import drgn

    del flags, filename
    if name != "vmemmap":
        return None
    try:
        base = prog["vmemmap_base"].value_()  # arch/x86/kernel/head64.c
    except (LookupError, drgn.FaultError):
        return None
    return drgn.Object(prog, "struct page *", value=base)


def _name_symbols(prog: Program, symbols: SymbolStatus, info: DumpInfo) -> None:
    """Set how names are found: in a pack by bisection, in modules by their own kallsyms."""
    import drgn

    if symbols.pack and symbols.path:
        table = SymbolTable(symbols.path, info.vmcoreinfo.kaslr_offset or 0)
        install(prog, table)
        prog.register_object_finder("vmemmap", _vmemmap, enable_index=-1)
        prog.register_type_finder("module-btf", ModuleTypes(prog), enable_index=-1)
        prog.register_object_finder("untyped", table.refuse_untyped, enable_index=-1)
    try:
        names = ModuleNames(prog)
    except (drgn.FaultError, LookupError, AttributeError, ValueError):
        return  # a damaged module list: modules stay unnamed, all else works
    install_modules(prog, names)
