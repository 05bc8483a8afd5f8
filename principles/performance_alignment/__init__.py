"""Principle 2: the quality of the maps tracks the performance of the model."""
