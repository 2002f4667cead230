"""Memory that was given back while something still led to it."""
