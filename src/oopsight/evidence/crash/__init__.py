"""How the machine went down, as its log, its registers and its stacks tell."""
