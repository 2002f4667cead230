"""Every error that a user can meet, each with its exit code.

::

    OopsightError               1  what went wrong, where, what to do
    |-- UsageError              2  the command line cannot be carried out
    |-- DumpError               3  the dump cannot be opened
    |   |-- NotADumpError       3  the file is no kernel dump
    |   `-- DamagedDumpError    3  a dump, but cut off or damaged beyond use
    |-- SymbolError             4  no usable symbols
    |   `-- WrongBuildError     4  symbols of another kernel build
    |-- VerificationError       5  a report's proof does not hold on this dump
    |-- OutputError             6  the result cannot be written
    `-- MissingToolError        7  a program that is needed is not installed

A message is one line: *what*, *where*, *what to do*. Only ``cli/`` prints it. Whatever is not an
``OopsightError`` and reaches ``cli/`` is a defect of Oopsight and leaves with exit code 70.
"""

from __future__ import annotations


class OopsightError(Exception):
    """Base of all errors that are reported to the user in one line."""

    exit_code = 1


class UsageError(OopsightError):
    """The command line asks for something that cannot be done."""

    exit_code = 2


class DumpError(OopsightError):
    """The dump cannot be opened."""

    exit_code = 3


class NotADumpError(DumpError):
    """The file is not a kernel crash dump in a format that is read."""


class DamagedDumpError(DumpError):
    """The file is a dump, but cut off or damaged so far that nothing can be told from it."""


class SymbolError(OopsightError):
    """No symbols were found with which the dump can be read."""

    exit_code = 4


class WrongBuildError(SymbolError):
    """The symbols given belong to another build of the kernel than the dump."""


class VerificationError(OopsightError):
    """A pointer in a report's chain of proof does not hold on the dump."""

    exit_code = 5


class OutputError(OopsightError):
    """The result cannot be written where it was asked for."""

    exit_code = 6


class MissingToolError(OopsightError):
    """A program or package that the command needs is not installed."""

    exit_code = 7
