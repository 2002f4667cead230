"""One module per source of symbols, found by its place and climbed by its ``ORDER``.

Each has

* ``ORDER``: the rung on the ladder, lowest first;
* ``DECISIVE``: whether a wrong file ends the search with an error instead of the next rung;
* ``unavailable(wanted) -> str | None``: why the source has nothing to offer here;
* ``candidates(wanted) -> Iterator[Path]``: files to try, best first;
* ``searched(wanted) -> str``: where it looked, for the trail.
"""
