"""What did not come to an end: tasks that wait, locks that are held, CPUs that are stuck."""
