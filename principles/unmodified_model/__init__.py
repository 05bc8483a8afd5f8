"""Principle 1: the explanation is computed on the unmodified model."""
