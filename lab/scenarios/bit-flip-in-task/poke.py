from drgn.helpers.linux.pid import for_each_task


def poke(prog):
    task = next(t for t in for_each_task(prog) if t.comm.string_() == b"named")
    return {
        task.sighand.address_of_().value_(): (task.sighand.value_() ^ 1 << 37).to_bytes(8, "little")
    }
