"""Symbol packs: ELF files with DWARF, symbols and unwind tables, small and quick to read.

::

    dump's memory:  kallsyms.py, btf.py, ORC,            build.py ---.
                    variables.txt: types of variables                 +-- dwarf.py, symbols.py,
    debug vmlinux:  elf_symbols.py, btf.py, ORC,         vmlinux.py -'    assemble.py --> pack
                    debuginfo/: lines, inlined calls, types of variables

A pack holds link-time addresses, so that one serves every boot of its build, and the build ID, by
which it is found again and refused elsewhere. The folder's modules need numpy; whatever only uses
a finished pack (:mod:`oopsight.symbols.cache`, :mod:`oopsight.symbols.lookup`) does not.
"""
