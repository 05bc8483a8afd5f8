"""The result of an audit as Python code reads it: fields, pages and frames."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from audit.result import schema
from audit.result.finding import Finding

if TYPE_CHECKING:
    import pandas as pd


class Findings(dict[str, Finding]):
    """What each check found, by its id."""

    def __missing__(self, check: object) -> Finding:
        """Nothing was found by a check that was not asked."""
        raise KeyError(
            f"expected one of the checks of this audit ({', '.join(self)}), got {check!r}; "
            "'audit list checks' tells of all"
        )


class Result(schema.Result):
    """A whole audit; every field of the published schema is an attribute.

    In a notebook it shows itself: verdict, findings, and the lines of source that they name.
    """

    @classmethod
    def of(cls, result: schema.Result) -> Result:
        """The same result."""
        return cls.model_construct(**{n: getattr(result, n) for n in schema.Result.model_fields})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Result:
        """The result in a file, such as ``result.json``.

        Raises:
            ValueError: it is no result that this version can read.
        """
        from audit.result.document import read_result

        return cls.of(read_result(Path(path)))

    @property
    def passed(self) -> bool:
        """Whether the gate is open: exit code 0 on the command line."""
        return self.exit_code == 0

    @property
    def findings(self) -> dict[str, Finding]:
        """What each check found, by its id, such as ``P104``; an unknown one is a `KeyError`."""
        return Findings((check.id, check.finding) for check in self.checks)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """The report, one offline page; written to a file where one is named."""
        from audit.reports.html import render_html

        return self._written(render_html(self), path)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The result as JSON; written to a file where one is named."""
        from audit.result.document import render_json

        return self._written(render_json(self), path)

    def findings_frame(self) -> pd.DataFrame:
        """One row a check: verdict, the statistic that decided, limit, sentence, place, remedy."""
        from audit.api.result_frames import findings_frame

        return findings_frame(self)

    def pairs_frame(self) -> pd.DataFrame:
        """One row a pair: its picture, and the quality of its map by each measure."""
        from audit.api.result_frames import pairs_frame

        return pairs_frame(self)

    def quality_frame(self) -> pd.DataFrame:
        """One row for each measure of ``quality=`` and each explainer: mean, interval, pairs."""
        from audit.api.result_frames import quality_frame

        return quality_frame(self)

    def _repr_html_(self) -> str:
        from audit.reports.notebook import render_notebook

        return render_notebook(self)

    def __str__(self) -> str:
        from audit.reports.plain_text import render_failures

        return render_failures(self)

    def __repr__(self) -> str:
        return f"<audit.Result of {self.explainer.name}: {self.verdict}. {self.headline}>"

    @staticmethod
    def _written(text: str, path: str | os.PathLike[str] | None) -> str:
        if path is not None:
            from audit.reports.output import write_whole

            write_whole(Path(path), text)
        return text
