"""Making sure that there is a dump at all: check the chain to a dump, mend it, undo the mending.

Standard library only, and nothing else of Oopsight: this package also runs alone, as a zipapp, on
hosts where nothing may be installed. All reading and writing goes through
:class:`oopsight.kdump.host.Root`, so that a host can be a folder.
"""
