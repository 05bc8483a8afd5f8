"""The result as JUnit XML: one suite per principle, one test case per check.

A violation is a failure, a check that could not be judged an error. What does not fail the gate
by itself is skipped, with its reason, so that it shows without breaking a build: warnings, waived
and known violations, inconclusive checks, and those that do not apply.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from audit.reports import statuses, words
from audit.result import CheckResult, Result

__all__ = ["render_junit"]


def render_junit(result: Result) -> str:
    """The document as text with its XML declaration."""
    root = Element("testsuites", name="explainer-audit")
    for principle in (1, 2):
        checks = [check for check in result.checks if check.principle == principle]
        _suite(root, f"principle {principle}", checks, result)
    if result.failures:
        _failures(root, result)
    _count(root)
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _suite(root: Element, name: str, checks: list[CheckResult], result: Result) -> None:
    if not checks:
        return
    suite = SubElement(root, "testsuite", name=f"explainer-audit {name}")
    suite.set("timestamp", _text(result.conditions.started, 40))
    properties = SubElement(suite, "properties")
    for key, value in _facts(result).items():
        SubElement(properties, "property", name=key, value=_text(value, 200))
    for check in checks:
        _case(suite, name, check)
    _count(suite)


def _facts(result: Result) -> dict[str, str]:
    return {
        "explainer": words.explainer_phrase(result),
        "model": words.model_phrase(result),
        "data": result.data.name,
        "seed": str(result.conditions.seed),
    }


def _case(suite: Element, name: str, check: CheckResult) -> None:
    status = statuses.status_of(check)
    case = SubElement(suite, "testcase", classname=f"explainer-audit.{name.replace(' ', '-')}")
    case.set("name", _text(f"{check.id} {check.name}", 120))
    case.set("time", f"{check.seconds or 0.0:.3f}")
    if check.finding.locations:
        case.set("file", _text(check.finding.locations[0].file, 400))
        case.set("line", str(check.finding.locations[0].line))
    known = status.key == "violation" and check.is_new is False
    summary = _text(check.finding.summary, 1000)
    if status.key == "violation" and not known:
        outcome = SubElement(case, "failure", message=summary, type=status.key)
        outcome.text = _body(check)
    elif status.key == "error":
        outcome = SubElement(case, "error", message=summary, type=status.key)
        outcome.text = _body(check)
    elif status.key != "pass":
        word = "in the baseline" if known else status.word.lower()
        SubElement(case, "skipped", message=f"{word}: {summary}")
        SubElement(case, "system-out").text = _body(check)
    else:
        SubElement(case, "system-out").text = _body(check)


def _body(check: CheckResult) -> str:
    finding = check.finding
    lines = [finding.summary, *finding.detail]
    lines += [f"{one.name}: {words.statistic_phrase(one)}" for one in finding.statistics]
    lines += [f"at {place.file}:{place.line} {place.text}" for place in finding.locations]
    lines += [f"see it again: {finding.witness.command}"] if finding.witness else []
    return "\n".join(_text(line, 1000) for line in lines)


def _failures(root: Element, result: Result) -> None:
    suite = SubElement(root, "testsuite", name="explainer-audit evidence")
    for failure in result.failures:
        case = SubElement(suite, "testcase", classname="explainer-audit.evidence", time="0.000")
        case.set("name", _text(failure.where, 120))
        error = SubElement(case, "error", message=_text(failure.message, 1000), type="error")
        error.text = _text(failure.traceback, 20_000)
    _count(suite)


def _count(element: Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for plural, singular in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(plural, str(sum(case.find(singular) is not None for case in cases)))
    element.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")


def _text(text: str, limit: int) -> str:
    return words.visible(words.shorten(text, limit))
