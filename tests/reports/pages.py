"""What is asked of every page in a browser."""

from __future__ import annotations

from pathlib import Path

from tests.oracles import oracle
from tests.reports.browser import Browser


def complaints_of_axe(browser: Browser, theme: str) -> list[str]:
    """What axe-core finds on the open page in a theme, with everything unfolded."""
    axe = oracle("axe_core_python")
    script = (Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    browser.ask(f"document.documentElement.dataset.theme = '{theme}'")
    browser.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    browser.ask(f"{script}; 1")
    return browser.ask(
        "axe.run({ resultTypes: ['violations'] }).then((one) =>"
        " one.violations.map((bad) => `${bad.id}: ${bad.nodes[0].html}`))"
    )
