"""Whose memory it is: slab caches and objects, who allocated, freed and uses them."""
