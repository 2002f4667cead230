"""``python -m oopsight`` is the ``oopsight`` command."""

import sys

from oopsight.cli import main

sys.exit(main())
