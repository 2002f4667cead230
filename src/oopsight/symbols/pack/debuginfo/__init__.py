"""What is taken of a kernel's or module's debug information into a pack.

::

    vmlinux, .ko --sections.py--> sections, decompressed and linked
                 --dies.py------> units and entries
                 --functions.py-> functions, the calls inlined into them, variables
                 --line_rows.py-> source lines
                 --line_units.py, line_program.py--> the sections of a pack

Types come from BTF as in a pack of a dump's own; of the debug information, which is mostly types
repeated in each unit and places of local variables, only what tells code from its addresses is
kept: which functions were inlined where, and the source line of each instruction.
"""
