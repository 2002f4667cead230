"""Errors of the capture side; one line each, like those of the rest, but standing on their own."""

from __future__ import annotations


class KdumpError(Exception):
    """Something that the user can do something about: *what*, *where*, *what to do*.

    :param exit_code: the exit code of the command that meets it, see :mod:`oopsight.errors`
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
