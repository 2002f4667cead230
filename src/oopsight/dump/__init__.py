"""What a dump file is, before anything interprets its memory: format, kernel, completeness.

One file per format under ``formats/``. Nothing here needs symbols or drgn, so that the answer to
"is this a usable dump, and of which kernel?" is there in milliseconds, also for a damaged file.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import stat
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from oopsight.dump import formats
from oopsight.dump.info import DumpInfo, VmcoreInfo
from oopsight.errors import DumpError, NotADumpError

__all__ = ["DumpInfo", "VmcoreInfo", "identify"]

# The longest signature that a format looks at, bytes.
_HEAD = 64


def _formats() -> Iterator[ModuleType]:
    for info in pkgutil.iter_modules(formats.__path__):
        yield importlib.import_module(f"{formats.__name__}.{info.name}")


def identify(path: str | os.PathLike[str]) -> DumpInfo:
    """Tell what a dump file is.

    :param path: the dump; also of a device such as ``/proc/vmcore``
    :raises NotADumpError: if no known format's signature is there
    :raises DamagedDumpError: if the headers themselves are cut off
    :raises DumpError: if the file cannot be read at all
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise NotADumpError(f"{path} is a directory; give the vmcore file inside it")
        with path.open("rb") as file:
            head = file.read(_HEAD)
            if not head:
                raise NotADumpError(
                    f"{path} is empty: the capture failed before the first byte; "
                    "check the space on the dump target"
                )
            for module in _formats():
                if module.matches(head):
                    file.seek(0)
                    info: DumpInfo = module.read(file, path)
                    return info
    except FileNotFoundError:
        raise DumpError(f"{path}: no such file") from None
    except PermissionError:
        raise DumpError(
            f"{path}: permission denied; dumps are readable by root alone, try sudo"
        ) from None
    except OSError as error:
        raise DumpError(f"{path}: {error.strerror or error}") from None
    raise NotADumpError(
        f"{path} is no kernel dump: it begins with {head[:8]!r}; "
        "ELF vmcore and makedumpfile (kdump-compressed, flattened) files are read"
    )
