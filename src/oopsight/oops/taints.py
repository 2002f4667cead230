"""The kernel's taint flags in words, Documentation/admin-guide/tainted-kernels.rst."""

from __future__ import annotations

from oopsight.oops.facts import Taint

MEANINGS = {
    "P": "a proprietary module was loaded",
    "F": "a module was loaded by force",
    "S": "the kernel runs on a machine out of specification",
    "R": "a module was unloaded by force",
    "M": "the processor reported a machine check",
    "B": "a bad page was met",
    "U": "user space asked for the taint",
    "D": "the kernel died before (an oops or BUG)",
    "A": "an ACPI table was overridden",
    "W": "a warning was given before",
    "C": "a staging driver was loaded",
    "I": "a bug of the firmware was worked around",
    "O": "a module from outside the kernel tree was loaded",
    "E": "a module without a signature was loaded",
    "L": "a soft lockup happened before",
    "K": "the kernel was live-patched",
    "X": "the distribution's own flag",
    "T": "built with a randomised structure layout",
    "N": "a test of the kernel ran",
    "J": "user space used an unsafe debugging interface",
}


def in_words(text: str | None) -> tuple[Taint, ...]:
    """The letters behind ``Tainted:``, without the blanks and the ``G`` of free modules only.

    >>> [taint.letter for taint in in_words("Tainted: G        W  O")]
    ['W', 'O']
    """
    if not text or not text.startswith("Tainted:"):
        return ()
    letters = dict.fromkeys(text.removeprefix("Tainted:"))
    return tuple(Taint(letter, MEANINGS[letter]) for letter in letters if letter in MEANINGS)
