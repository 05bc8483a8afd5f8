"""From settings to a result: the composition root behind the command line and the Python API."""
