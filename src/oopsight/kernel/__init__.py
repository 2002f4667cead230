"""Helpers for the kernel's own structures and code, by subsystem, which drgn lacks."""
