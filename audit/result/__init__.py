"""The result of an audit: its schema, and what is put into it."""

# Where the first edition had them: checks of plug-ins import them from here.
from audit.result.schema import Finding, Severity, Statistic, Verdict

__all__ = ["Finding", "Severity", "Statistic", "Verdict"]
