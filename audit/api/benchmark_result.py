"""What `audit.benchmark` returns: the results of all audits, and the page that compares them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from audit.api.audit_result import Result
from audit.engine.benchmark_cells import Benchmark as Audited

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Benchmark:
    """Several explainers, each audited on the same model and data.

    Attributes:
        audited: what came of each.
    """

    audited: Audited

    @property
    def passed(self) -> bool:
        """Whether every gate is open: exit code 0 on the command line."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """The gravest of all audits."""
        return self.audited.exit_code

    @property
    def results(self) -> dict[str, Result]:
        """The result of each explainer that could be run, by its name."""
        found = ((one.cell.name, one.result) for one in self.audited.outcomes)
        return {name: Result.of(result) for name, result in found if result is not None}

    @property
    def failures(self) -> dict[str, str]:
        """Why an explainer could not be run, by its name."""
        return {o.cell.name: o.message for o in self.audited.outcomes if o.result is None}

    def verdicts_frame(self) -> pd.DataFrame:
        """One row an explainer, one column a check: the verdict."""
        import pandas as pd

        rows = {
            name: {check.id: check.finding.verdict.value for check in result.checks}
            for name, result in self.results.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("explainer")

    def quality_frame(self) -> pd.DataFrame:
        """One row a measure and explainer: mean, interval, difference to the best, ranks."""
        import io

        import pandas as pd

        from audit.engine.benchmark_tables import quality_csv

        table = pd.read_csv(io.StringIO(quality_csv(self.audited)))
        return table.set_index(["measure", "explainer"]).drop(columns=["model", "data"])

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """The page, offline; written to a file where one is named."""
        from audit.engine.benchmark_page import render_benchmark

        return self._written(render_benchmark(self.audited), path)

    def to_latex(self, path: str | os.PathLike[str] | None = None) -> str:
        """The table of a paper; written to a file where one is named."""
        from audit.engine.benchmark_tables import latex

        return self._written(latex(self.audited), path)

    def __str__(self) -> str:
        return "\n".join(self.audited.lines())

    @staticmethod
    def _written(text: str, path: str | os.PathLike[str] | None) -> str:
        if path is not None:
            from audit.reports.output import write_whole

            write_whole(Path(path), text)
        return text
