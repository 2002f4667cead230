"""Kernel modules: which there are and were, what they left, what their code does."""
