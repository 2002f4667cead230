"""makedumpfile's flattened format (``-F``), as it arrives over a pipe or SSH.

The parts of a dump in the order of writing, each with its offset. It has to be put in order before
its pages can be looked up; ``makedumpfile -R`` does it.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from oopsight.dump.info import DumpInfo
from oopsight.errors import DumpError

_SIGNATURE = b"makedumpfile\0"


def matches(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is in this format."""
    return head.startswith(_SIGNATURE)


def read(file: BinaryIO, path: Path) -> DumpInfo:  # noqa: ARG001  # every format has this signature
    """Refuse, with the command that turns it into a dump.

    :raises DumpError: always
    """
    raise DumpError(
        f"{path} is a flattened dump, as sent through a pipe; "
        f"put it in order first: makedumpfile -R {path}.ordered < {path}"
    )
