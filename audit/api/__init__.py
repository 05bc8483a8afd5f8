"""The Python API: what a notebook, a script or a test calls."""
