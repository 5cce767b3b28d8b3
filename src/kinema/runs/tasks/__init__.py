"""What a network can be asked: one module a task, see `kinema.runs.tasks.task`."""
