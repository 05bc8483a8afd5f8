"""The principles as checks: one file per check, each a pure judgment of saved evidence."""
