"""The principles as checks: one file per check, each a pure judgement of saved evidence."""
