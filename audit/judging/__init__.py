"""Judging: selection of checks, looks, multiplicity; from saved evidence to findings."""
