"""The layout is the architecture: imports go one way, and one feature is one file."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "oopsight"

# From the ground up; a layer may import itself and whatever is named for it.
LAYERS: dict[str, set[str]] = {
    "dump": set(),
    "symbols": {"dump"},
    "engine": set(),
    "lost_vmcoreinfo": {"engine", "dump"},
    "session": {"lost_vmcoreinfo", "engine", "symbols", "dump"},
    "kernel": {"session", "symbols", "dump"},
    "oops": set(),
    "kdump": set(),
}
LAYERS["evidence"] = {"kernel", "session", "symbols", "dump", "oops"}
LAYERS["diagnosis"] = {"evidence", *LAYERS["evidence"]}
LAYERS["signature"] = {"diagnosis", *LAYERS["diagnosis"]}
LAYERS["report"] = {"signature", *LAYERS["signature"]}
LAYERS["shell"] = LAYERS["fleet"] = {"report", *LAYERS["report"]}
LAYERS["minicore"] = {"lost_vmcoreinfo", "shell", *LAYERS["shell"]}
LAYERS["cli"] = {"minicore", "report", "shell", "fleet", "kdump", *LAYERS["report"]}
# Vocabulary that every layer but kdump may use.
COMMON = {"cheap", "errors", "kinds", "plumbing", "text", "walk"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_layers(path: Path) -> set[str]:
    """Layers of this package that a module imports, late imports too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            module = node.module or ""
            names = (
                [f"oopsight.{alias.name}" for alias in node.names]
                if module == "oopsight"
                else [module]
            )
        found |= {name.split(".")[1] for name in names if name.startswith("oopsight.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    layer = layer_of(path)
    if layer in COMMON | {"__init__", "__main__"}:
        return
    common = set() if layer == "kdump" else COMMON
    allowed = LAYERS[layer] | common | {layer}
    wrong = imported_layers(path) - allowed
    assert not wrong, f"{path.relative_to(ROOT)} ({layer}) must not import {sorted(wrong)}"


def test_kdump_uses_the_standard_library_alone() -> None:
    import sys

    for path in (PACKAGE / "kdump").rglob("*.py") if (PACKAGE / "kdump").is_dir() else []:
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                top = name.split(".")[0]
                assert top in sys.stdlib_module_names or name.startswith("oopsight.kdump"), (
                    f"{path.relative_to(ROOT)} imports {name}"
                )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


@pytest.mark.parametrize(
    "path",
    sorted((PACKAGE / "cli").glob("[!_]*.py")),
    ids=lambda path: path.stem,
)
def test_a_sub_command_has_its_parts(path: Path) -> None:
    names = {
        node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)
    }
    assert {"configure", "run"} <= names


def test_tests_mirror_the_package() -> None:
    """A test file stands where the module it tests stands."""
    elsewhere = {"test_structure.py", "conftest.py"}
    own = {"corpus", "lab", "dumps", "bench", "e2e"}
    for path in (ROOT / "tests").rglob("test_*.py"):
        relative = path.relative_to(ROOT / "tests")
        if relative.name in elsewhere or relative.parts[0] in own:
            continue
        module = PACKAGE / relative.parent / relative.name.removeprefix("test_")
        package = module.with_suffix("")
        itself = module.name == f"{module.parent.name}.py" and module.parent.is_dir()
        assert module.exists() or package.is_dir() or itself, f"tests/{relative} tests no module"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_strings_of_a_dump_are_read_to_an_end(path: Path) -> None:
    # drgn's string_() follows a char pointer to a zero, wherever that is.
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "string_"
    ]
    assert not calls or path == PACKAGE / "text.py"
