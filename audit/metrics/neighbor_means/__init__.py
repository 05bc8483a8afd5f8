"""Weighted means of neighbors in the place of removed pixels: systems, and how they are solved."""
