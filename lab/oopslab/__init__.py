"""The lab: crashes real Debian kernels in QEMU on purpose and keeps the dumps with their truth.

>>> from oopslab import ensure                              # doctest: +SKIP
>>> ensure("null-deref", kernel="6.1", capture="qmp").vmcore  # doctest: +SKIP
PosixPath('.../null-deref.vmcore')
"""

from __future__ import annotations

from oopslab.errors import LabError, LabUnavailable
from oopslab.kernel import kernels
from oopslab.make import LabDump, ensure
from oopslab.scenario import scenarios

__all__ = ["LabDump", "LabError", "LabUnavailable", "ensure", "kernels", "scenarios"]
