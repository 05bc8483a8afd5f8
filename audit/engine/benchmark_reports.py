"""The files of a benchmark: its page, and its tables."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from audit.engine.benchmark_cells import Benchmark
from audit.engine.benchmark_page import render_benchmark
from audit.engine.benchmark_tables import latex, quality_csv, verdicts_csv
from audit.reports.output import write_whole

PAGE: Final = "benchmark.html"


def write_benchmark(benchmark: Benchmark, folder: Path) -> Path:
    """Write the page and the tables beside the folders of the audits; the page's path.

    Raises:
        OutputWriteError: the disk is full, or the folder cannot be written to.
    """
    texts = {
        PAGE: render_benchmark(benchmark, folder),
        "verdicts.csv": verdicts_csv(benchmark),
        "quality.csv": quality_csv(benchmark),
        "benchmark.tex": latex(benchmark),
    }
    for name, text in texts.items():
        write_whole(folder / name, text)
    return folder / PAGE
