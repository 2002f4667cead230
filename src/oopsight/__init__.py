"""Oopsight says why a Linux machine went down, from its kernel crash dump, and proves every step.

The flow, which the folders show::

    dump file + symbols -> Session -> evidence (facts) -> diagnosis (rules) -> report (renderers)

Imports go one way: ``cli, shell, fleet -> report -> signature -> diagnosis -> evidence -> kernel ->
session -> symbols -> dump``. ``oops`` (console text in, facts out) and ``kdump`` (capture) stand
beside that chain. ``tests/test_structure.py`` enforces it.
"""

__version__ = "0.1.0"
