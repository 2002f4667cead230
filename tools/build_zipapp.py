"""Build ``dist/oopsight-kdump.pyz``: kdump alone, without dependencies."""

from __future__ import annotations

import shutil
import tempfile
import zipapp
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Copy the package that kdump is, and pack it."""
    goal = ROOT / "dist" / "oopsight-kdump.pyz"
    goal.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "oopsight"
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src/oopsight/kdump", package / "kdump", ignore=ignore)
        shutil.copy(ROOT / "src/oopsight/__init__.py", package)
        main_file = Path(folder) / "__main__.py"
        main_file.write_text(
            "import sys\nfrom oopsight.kdump.__main__ import main\nsys.exit(main())\n"
        )
        zipapp.create_archive(folder, goal, "/usr/bin/env python3", compressed=True)


if __name__ == "__main__":
    main()
