"""What can go wrong in the lab."""

from __future__ import annotations


class LabError(Exception):
    """A dump could not be made although everything needed is there: a defect of a scenario."""


class LabUnavailable(LabError):  # noqa: N818 - reads as the reason it carries, in test skips
    """This machine or the package archive lacks something: a kernel, a tool, the network."""
