"""Symbol packs: an ELF file with DWARF, symbols and unwind tables made from a dump's own memory.

::

    kernel memory --kallsyms.py--> symbols ---.
                  --btf.py-------> types ------+--dwarf.py, elf_image.py--> pack
                  --orc----------> unwinding --'       ^
    variables.txt --variables.py--> types of global variables

A pack holds link-time addresses, so that one serves every boot of its build, and the build ID, by
which it is found again and refused elsewhere. The folder's modules need numpy; whatever only uses
a finished pack (:mod:`oopsight.symbols.cache`, :mod:`oopsight.symbols.lookup`) does not.
"""
