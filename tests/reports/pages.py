"""What is asked of every page in a browser."""

from __future__ import annotations

from pathlib import Path

from tests.oracles import oracle
from tests.reports.browser import DESKTOP, PHONE, Browser


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


def expect_a_sound_page(path: Path, profile: Path) -> None:
    """No complaint, no request, nothing that axe finds, no page wider than the screen.

    Args:
        path: of the page.
        profile: a folder for the browser.
    """
    browser = Browser(profile)
    try:
        for theme in ("light", "dark"):
            for size in (DESKTOP, PHONE):
                browser.open(path, size)
                assert browser.complaints() == browser.requests() == []
                wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                assert browser.ask(wide) == 0
                assert complaints_of_axe(browser, theme) == []
    finally:
        browser.close()
