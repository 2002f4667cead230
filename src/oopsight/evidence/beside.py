"""A fact collected by a process of its own, while this one goes on with others.

Python runs one thread at a time: a second processor is of use only to another process. A fork has
the dump open and everything in memory that was read so far.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import signal
from collections.abc import Callable
from typing import Any

PATIENCE = 20.0
"""Seconds without a word after which the other process is given up."""
_BLOCK = 1 << 16


def is_possible() -> bool:
    """Whether there is a processor for it."""
    return hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1


class Beside:
    """What a function returns, worked out beside this process."""

    def __init__(self, work: Callable[[], Any]) -> None:
        """Begin. No other thread may be at work in this process: a fork has none of them.

        :raises OSError: if there can be no further process
        """
        self._reader, writer = os.pipe()
        try:
            self._process = os.fork()
        except OSError:
            os.close(self._reader)
            os.close(writer)
            raise
        if not self._process:
            gc.disable()  # going through all objects would copy their pages
            # Nothing of this copy but the answer may be seen, whatever happens.
            with contextlib.suppress(BaseException), os.fdopen(writer, "wb") as pipe:
                pickle.dump(work(), pipe, pickle.HIGHEST_PROTOCOL)
            os._exit(0)
        os.close(writer)

    def answer(self) -> Any:
        """Wait for it.

        :return: ``None`` if the other process had none, for which there may be any reason
        """
        parts = []
        while select.select([self._reader], [], [], PATIENCE)[0]:
            parts.append(os.read(self._reader, _BLOCK))
            if not parts[-1]:
                break
        else:
            os.kill(self._process, signal.SIGKILL)
        os.close(self._reader)
        os.waitpid(self._process, 0)
        with contextlib.suppress(Exception):  # it is cut off, or there is none
            return pickle.loads(b"".join(parts))  # noqa: S301  # our own copy wrote it
        return None
