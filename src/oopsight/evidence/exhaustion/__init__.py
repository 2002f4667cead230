"""Where the memory went: who had it when it ran out, and who takes such memory."""
