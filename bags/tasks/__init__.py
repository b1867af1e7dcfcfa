"""What the command line can do: one file a task, each with ``run(settings)``."""
