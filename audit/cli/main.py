"""The command ``audit`` with its commands; torch is imported only when work begins."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from audit.cli.benchmark_command import benchmark
from audit.cli.cache_command import cache
from audit.cli.check_command import check
from audit.cli.compare_command import compare
from audit.cli.doctor_command import doctor
from audit.cli.equivalence_command import equivalence
from audit.cli.exit_codes import exit_codes, fail
from audit.cli.explain_command import explain
from audit.cli.history_command import history
from audit.cli.init_command import init
from audit.cli.list_command import list_
from audit.cli.map_command import map_
from audit.cli.pack_command import pack
from audit.cli.pairs_command import pairs
from audit.cli.plan_command import plan_
from audit.cli.printing import say
from audit.cli.report_command import report
from audit.cli.summary_command import summary
from audit.cli.verify_command import verify
from audit.errors import USAGE
from audit.version import __version__


class Commands(click.Group):
    """Words that are no command or option end as every error does, and never with exit code 1."""

    def main(  # type: ignore[override]  # click declares one signature for each mode
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **more: Any
    ) -> Any:
        """Run a command and exit; without ``standalone_mode``, as click does."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **more)
        with exit_codes():
            try:
                sys.exit(super().main(args, standalone_mode=False, **more) or 0)
            except click.Abort as error:
                raise KeyboardInterrupt from error
            except click.ClickException as error:
                if error.format_message().startswith("Usage: "):  # no words at all: the help
                    say(error.format_message(), err=True)
                    sys.exit(USAGE)
                if isinstance(error, click.UsageError) and error.ctx:
                    say(f"{error.ctx.get_usage()}\nTry '{error.ctx.command_path} -h'.", err=True)
                fail(error.format_message())


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    commands=(
        *(
            benchmark,
            cache,
            check,
            compare,
            doctor,
            equivalence,
            explain,
            history,
            init,
            list_,
            map_,
        ),
        *(pack, pairs, plan_, report, summary, verify),
    ),
)
@click.version_option(__version__, prog_name="audit")
def main() -> None:
    """Audit an explainer: does its saliency map explain the model that it claims to explain?"""


if __name__ == "__main__":  # python -m audit.cli.main, which would else end with 0 and nothing done
    main()
