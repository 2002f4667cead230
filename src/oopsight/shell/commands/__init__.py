"""Commands of the prompt, one file each; see :mod:`oopsight.shell.registry`."""
