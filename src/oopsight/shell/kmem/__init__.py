"""Parts of the ``kmem`` command, one kind of table each."""
