"""Edits of a model or picture: copies or context managers, never a scar."""
