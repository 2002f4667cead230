"""Where the labelled logs are, which lie beside the checkout and not in it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def corpus() -> Path:
    """The directory of labelled logs; the test is skipped where it is absent."""
    for above in (ROOT.parent, ROOT.parent.parent):
        directory = above / "shared" / "oops-corpus"
        if directory.is_dir():
            return directory
    pytest.skip("the labelled logs are not at hand")
