"""The result of an audit: its schema, and what is put into it."""

# Where the first edition had them: checks of plug-ins import them from here.
from audit.result.finding import Finding, Severity, Verdict
from audit.result.numbers import Statistic

__all__ = ["Finding", "Severity", "Statistic", "Verdict"]
