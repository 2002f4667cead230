"""One rule a file, named after the bad thing; see :mod:`oopsight.diagnosis`."""
