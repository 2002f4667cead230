"""``python -m oopsight`` is the ``oopsight`` command."""

from oopsight.cli import process

process()
