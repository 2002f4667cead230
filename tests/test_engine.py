"""drgn is loaded file by file, and all of it is there when it is asked for."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    """What a Python of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"from oopsight import engine\nimport sys\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_only_the_files_used_are_imported() -> None:
    code = """
drgn = engine.load()
from drgn.helpers.linux.list import list_for_each
print(drgn.__name__, "drgn.helpers.linux.bpf" in sys.modules, "dataclasses" in sys.modules)
"""
    assert run(code) == "drgn False False"


def test_the_packages_hold_everything_when_asked() -> None:
    code = """
engine.load()
import drgn.helpers.common, drgn.helpers.linux
print(drgn.helpers.linux.for_each_task.__name__, drgn.helpers.common.identify_address.__name__)
print("drgn.helpers.linux.bpf" in sys.modules, len(drgn.helpers.linux.__all__) > 300)
"""
    assert run(code).splitlines() == ["for_each_task identify_address", "True True"]


def test_all_names_of_a_package_can_be_imported() -> None:
    assert (
        run("engine.load()\nfrom drgn.helpers.linux import *\nprint(d_path.__name__)") == "d_path"
    )


def test_a_name_that_is_not_there_is_told_as_usual() -> None:
    code = """
engine.load()
import drgn.helpers.linux
try:
    drgn.helpers.linux.no_such_helper
except AttributeError as error:
    print(error)
"""
    assert run(code) == "module 'drgn.helpers.linux' has no attribute 'no_such_helper'"


def test_what_is_loaded_already_stays() -> None:
    code = """
import drgn.helpers.linux
before = drgn.helpers.linux
engine.load()
print(drgn.helpers.linux is before, type(before).__name__)
"""
    assert run(code) == "True module"
