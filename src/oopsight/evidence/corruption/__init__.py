"""Memory with the wrong content: run over, a bit flipped, a list broken, never set up."""
