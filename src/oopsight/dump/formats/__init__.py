"""One module per dump format, found by its place.

Each has ``matches(head: bytes) -> bool`` and ``read(file, path) -> DumpInfo``.
"""
