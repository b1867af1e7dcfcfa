"""The tasks of the command line, one module per task, each with ``run(settings)``."""
