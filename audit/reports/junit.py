"""The result as JUnit XML: one suite per principle, one test case per check.

What fails the gate is a failure, a check that could not be judged an error. What does not fail it
is skipped, with its reason, so that it shows without breaking a build: warnings, waived and known
violations, inconclusive checks, and those that do not apply.

The document keeps to what the schemas of Jenkins' xUnit plug-in and of Ant have in common, so that
strict readers take it as well as lenient ones: no place of the source in attributes (it stands in
the text), and the details of checks that passed in the output of their suite.
"""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from audit.reports import statuses
from audit.result import wording as words
from audit.result.gate_rule import Rule, fails, rule_of
from audit.result.schema import CheckResult, Result

__all__ = ["render_junit"]

_ISO = "%Y-%m-%dT%H:%M:%S"


def render_junit(result: Result) -> str:
    """The document as text with its XML declaration."""
    root = Element("testsuites")
    for principle in (1, 2):
        checks = [check for check in result.checks if check.principle == principle]
        if checks:
            _principle(root, f"principle-{principle}", checks, result)
    if result.failures:
        _failures(root, result)
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _principle(root: Element, name: str, checks: list[CheckResult], result: Result) -> None:
    suite = _suite(root, name, result)
    for check in checks:
        _case(suite, name, check, _seconds(check, result), rule_of(result))
    quiet = [check for check in checks if statuses.status_of(check).key == "pass"]
    _close(suite, "\n\n".join(f"{_name(check)}: {_body(check)}" for check in quiet))


def _suite(root: Element, name: str, result: Result) -> Element:
    suite = SubElement(root, "testsuite", name=name, package="explainer-audit")
    suite.set("id", str(len(root) - 1))
    suite.set("hostname", "localhost")
    if started := _utc(result.timing.started):
        suite.set("timestamp", started)
    properties = SubElement(suite, "properties")
    for key, value in _facts(result).items():
        SubElement(properties, "property", name=key, value=_text(value, 200))
    return suite


def _close(suite: Element, output: str) -> None:
    """Output and counts, once all cases are there."""
    SubElement(suite, "system-out").text = output
    SubElement(suite, "system-err")
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for plural, singular in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(plural, str(sum(case.find(singular) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")


def _facts(result: Result) -> dict[str, str]:
    return {
        "explainer": words.explainer_phrase(result),
        "model": words.model_phrase(result),
        "data": result.data.name,
        "seed": str(result.conditions.seed),
    }


def _case(suite: Element, name: str, check: CheckResult, seconds: float, rule: Rule) -> None:
    status = statuses.status_of(check)
    case = SubElement(suite, "testcase", classname=f"explainer-audit.{name}", name=_name(check))
    case.set("time", f"{seconds:.3f}")
    known = status.key == "violation" and check.is_new is False
    summary = _text(check.finding.summary, 1000)
    if fails(check, **rule):
        outcome = SubElement(case, "failure", message=summary, type=status.key)
    elif status.key == "error":
        outcome = SubElement(case, "error", message=summary, type=status.key)
    elif status.key != "pass":
        word = "in the baseline" if known else status.word.lower()
        outcome = SubElement(case, "skipped", message=f"{word}: {summary}")
    else:
        return
    outcome.text = _body(check)


def _seconds(check: CheckResult, result: Result) -> float:
    """What the audit spent on the check: judging, and its share of the evidence."""
    return result.timing.checks.get(check.id, 0.0)


def _name(check: CheckResult) -> str:
    return _text(f"{check.id} {check.name}", 120)


def _body(check: CheckResult) -> str:
    finding = check.finding
    lines = list(dict.fromkeys([finding.summary, *finding.detail]))
    lines += [f"{one.name}: {words.statistic_phrase(one)}" for one in finding.statistics]
    lines += [f"at {place.file}:{place.line} {place.text}" for place in finding.locations]
    lines += [f"what to do: {remedy}"] if (remedy := statuses.remedy(check)) else []
    lines += [f"see it again: {finding.witness.command}"] if finding.witness else []
    return "\n".join(_text(line, 1000) for line in lines)


def _failures(root: Element, result: Result) -> None:
    suite = _suite(root, "evidence", result)
    for failure in result.failures:
        case = SubElement(suite, "testcase", classname="explainer-audit.evidence", time="0.000")
        case.set("name", _text(failure.where, 120))
        error = SubElement(case, "error", message=_text(failure.message, 1000), type="error")
        error.text = _text(failure.traceback, 20_000)
    _close(suite, "")


def _utc(started: str) -> str:
    """A time as the schemas want it: in UTC, to the second, without a zone; empty for no time."""
    try:
        return datetime.fromisoformat(started).astimezone(UTC).strftime(_ISO)
    except ValueError:
        return ""


def _text(text: str, limit: int) -> str:
    return words.visible(words.shorten(text, limit))
