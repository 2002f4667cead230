def poke(prog):
    entry = prog["file_systems"]
    while entry.name.string_() != b"proc":
        entry = entry.next
    return {
        entry.next.address_of_().value_(): (entry.next.value_() ^ 1 << 52).to_bytes(8, "little")
    }
