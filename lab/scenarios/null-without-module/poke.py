def poke(prog):
    from drgn.helpers.linux.pid import for_each_task

    task = next(task for task in for_each_task(prog) if task.comm.string_() == b"logship")
    return {task.fs.address_of_().value_(): bytes(8)}
