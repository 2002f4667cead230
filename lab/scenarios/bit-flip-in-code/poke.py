def poke(prog):
    import capstone

    start = prog.symbol("uptime_proc_show").address
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    for row in decoder.disasm(prog.read(start, 200), start):
        if row.mnemonic == "call" and row.size == 5:
            last = row.address + 4
            return {last: bytes([prog.read(last, 1)[0] ^ 0x20])}
    return {}
