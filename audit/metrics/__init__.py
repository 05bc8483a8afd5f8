"""Batched, pure measures of localization, faithfulness and similarity."""
