"""What a network can predict: one module a task, each with a `TASK`. See `kinema.runs.task`."""
