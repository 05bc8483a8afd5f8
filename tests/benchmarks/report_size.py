"""Size of the HTML report, how fast it opens and how fast its pairs are filtered.

``python -m tests.benchmarks.report_size [REPORT.html ...]`` in headless Chromium. Without a report
it draws two of made-up results, with 192 and with 1,000 pairs. The bars: the report of the default
audit under 5 MB and open in under a second, 1,000 pairs under 20 MB and responsive (a keystroke in
the search takes less than 100 ms, the limit of what feels immediate; Nielsen 1993), under 12,000
words and, at 1,400 px, under 15,000 px high. Words are those of the whole page, folded parts
included; those of the pairs behind "Show all" are counted apart, as their number is the reader's
choice. Processor time is that of the page's main thread; medians of five runs.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Final

from audit.reports.html import render_html
from tests.made_results import build
from tests.reports.browser import CHROMIUM, DESKTOP, Browser

REPEATS = 5
WIDE = (1400, 1000)
UNREAD: Final = re.compile(r"<(head|script)\b.*?</\1>", re.DOTALL)
WAITING: Final = re.compile(r'<li class="card later".*?</li>', re.DOTALL)
TAG: Final = re.compile(r"<[^>]+>")
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
SETTLED = "new Promise((done) => setTimeout(done, 300))"
SEARCH = (
    "const one = document.getElementById('gallery-search'); one.value = '{text}';"
    " one.dispatchEvent(new Event('input'))"
)
FILTER = (
    "const one = document.getElementById('gallery-filter'); one.selectedIndex = {index};"
    " one.dispatchEvent(new Event('change'))"
)
ACTS = {
    "keystroke": [SEARCH.format(text=t) for t in ("s", "scene", "scene-0003", "no such", "")],
    "filter": [FILTER.format(index=index) for index in (1, 2, 0)],
    "all checks opened": ["document.getElementById('open-all').click()"],
    "maps on the pictures": ["document.getElementById('overlay').click()"],
}


def words_of(page: str, *, waiting: bool = False) -> int:
    """Words of a page, folded parts included; with ``waiting`` those of the pairs that wait too."""
    read = UNREAD.sub(" ", page)
    return len(TAG.sub(" ", read if waiting else WAITING.sub(" ", read)).split())


def measure(browser: Browser, page: Path) -> None:
    """Print what a page takes."""
    walls, loads, spent = [], [], {name: [] for name in ACTS}
    for _ in range(REPEATS):
        browser.open(page, DESKTOP)
        browser.ask(SETTLED)
        walls.append(float(browser.ask(LOADED)))
        loads.append(browser.cpu())
        browser.ask("document.getElementById('gallery').scrollIntoView()")
        for name, acts in ACTS.items():
            spent[name].append(max(browser.cpu_of(act) for act in acts))
    nodes = browser.ask("document.querySelectorAll('*').length")
    pairs = browser.ask("document.querySelectorAll('.card').length")
    print(f"{page.name}: {page.stat().st_size / 1e6:.2f} MB, {pairs} pairs, {nodes} elements")
    text = page.read_text(encoding="utf-8")
    browser.open(page, WIDE)
    height = browser.ask("document.documentElement.scrollHeight")
    whole = words_of(text, waiting=True)
    print(f"  {words_of(text)} words, {whole} with the pairs that wait; {height} px high")
    print(f"  open after {median(walls):.0f} ms; {median(loads):.0f} ms of processor time")
    for name, values in spent.items():
        print(f"  slowest {name}: {median(values):.0f} ms of processor time")


def median(values: list[float]) -> float:
    """The middle one of an odd number of values."""
    return sorted(values)[len(values) // 2]


def main() -> None:
    """Measure the reports given, or two made-up ones."""
    if CHROMIUM is None:
        sys.exit("no Chromium on this machine; install one, such as Debian's package chromium")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pages = [Path(one).resolve() for one in sys.argv[1:]]
        for pairs in (192, 1000) if not pages else ():
            page = folder / f"{pairs}-pairs.html"
            page.write_text(render_html(build(pairs=pairs)), encoding="utf-8")
            pages.append(page)
        browser = Browser(folder / "profile")
        for page in pages:
            measure(browser, page)
        browser.close()


if __name__ == "__main__":
    main()
