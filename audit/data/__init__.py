"""Pairs of pictures and texts, with masks."""
