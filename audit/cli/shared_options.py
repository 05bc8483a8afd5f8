"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from audit.cli.option_groups import Decorator, together
from audit.cli.option_values import (
    grid_of,
    pairs_of,
    samples_of,
    severities_of,
    thresholds_of,
    words_of,
)
from audit.cli.printing import say_message


def _many(*names: str, callback: Callable[..., Any], metavar: str, text: str) -> Decorator:
    return click.option(*names, multiple=True, callback=callback, metavar=metavar, help=text)


options_option = _many(
    "--option",
    "options",
    callback=pairs_of,
    metavar="KEY=VALUE",
    text="Option of the explainer; repeatable.",
)
formats_option = _many(
    "--format",
    "formats",
    callback=words_of,
    metavar="NAME[,NAME]",
    text="html, json, sarif, junit, markdown, github, badge.",
)
_MODEL = (
    "--model",
    (
        "bundled, an open_clip architecture, local-dir:FOLDER, timm:NAME, torchvision:NAME, "
        "hf:FOLDER, or FILE.py:FUNCTION."
    ),
)
_WEIGHTS = (
    "--pretrained",
    "Weights: a tag of the library, a checkpoint file, or random.",
)
_DATA = (
    "--data",
    (
        "bundled, a manifest (a CSV or Parquet file, or its folder), folder:FOLDER, coco:FOLDER, "
        "imagenet-s:FOLDER, voc:FOLDER, pets:FOLDER, hf:FOLDER; 'audit list datasets' says what "
        "each one reads."
    ),
)


def _one(named: tuple[str, str]) -> Decorator:
    return click.option(named[0], help=named[1])


def _several(named: tuple[str, str], many: str, more: str) -> Decorator:
    return click.option(named[0], many, multiple=True, help=f"{named[1]} {more}")


model_conditions = together(
    (
        click.option(
            "--tokenizer",
            metavar="FOLDER",
            help="A folder with a tokenizer.json, in the place of the model's own tokenizer.",
        ),
        click.option(
            "--allow-download",
            is_flag=True,
            default=None,
            help="Download weights and tokenizers that are not on this machine.",
        ),
        click.option("--seed", type=int, help="Seed of pairs, fills, edits and random models."),
        click.option("--device", help="cpu, cuda, cuda:1, …"),
        click.option(
            "--dtype",
            type=click.Choice(["float32", "float64", "float16", "bfloat16"]),
            help="Number format of the model's parameters.",
        ),
    )
)
model_options = together((_one(_MODEL), _one(_WEIGHTS), model_conditions))
ladder_option = click.option(
    "--ladder",
    multiple=True,
    metavar="WEIGHTS",
    help="Other weights of the model (a checkpoint file, or a tag of open_clip), or another model, "
    "shown and not judged (ARCHITECTURE:TAG, local-dir:FOLDER); repeatable.",
)
grid_option = click.option(
    "--grid",
    callback=grid_of,
    metavar="N|off",
    help="Compose N x N pictures of distinct classes to one, whose cells are the masks; without "
    "it 2 where there are labels and no masks.",
)
source_conditions = together(
    (
        grid_option,
        click.option(
            "--allow-outside",
            is_flag=True,
            default=None,
            help="Read files of the data that lie outside their folder.",
        ),
        click.option(
            "--template",
            help="Prompt for labels, with one {}; openai scores classes by the mean over 80.",
        ),
    )
)
source_options = together((_one(_DATA), source_conditions))
size_options = together(
    (
        click.option(
            "--samples",
            callback=samples_of,
            metavar="N|auto",
            help="Number of pairs; auto adds pairs until the checks are settled.",
        ),
        click.option(
            "--budget", type=int, help="With --samples auto, the largest number of pairs."
        ),
        click.option(
            "--profile",
            type=click.Choice(["quick", "default", "full"]),
            help="How much evidence is gathered; quick means 48 pairs unless --samples is given.",
        ),
    )
)
data_options = together(
    (
        source_options,
        click.option("--pair", help="Audit only this pair."),
        size_options,
    )
)
several_models = together(
    (
        _several(_MODEL, "models", "Repeatable."),
        _several(_WEIGHTS, "weights", "Once for all models, or once for each in their order."),
        model_conditions,
    )
)
several_subjects = together(
    (
        several_models,
        _several(_DATA, "sources", "Repeatable."),
        source_conditions,
        size_options,
    )
)
judging_options = together(
    (
        _many(
            "--select",
            "--only",
            "select",
            callback=words_of,
            metavar="CHECK",
            text="Run only these checks, such as P104, P101-P105, or P1 for all of principle 1.",
        ),
        _many("--ignore", callback=words_of, metavar="CHECK", text="Leave out these checks."),
        _many(
            "--severity",
            callback=severities_of,
            metavar="CHECK=error|warning",
            text="Severity of a check; repeatable.",
        ),
        _many(
            "--threshold",
            "thresholds",
            callback=thresholds_of,
            metavar="CHECK.NAME=NUMBER",
            text="A threshold of a check, such as P201.clear=0.6.",
        ),
    )
)
gate_options = together(
    (
        click.option(
            "--fail-on",
            type=click.Choice(["error", "violation", "warning"]),
            help="Lowest severity at which a violation fails; violation is an alias of error.",
        ),
        click.option("--strict", is_flag=True, default=None, help="INCONCLUSIVE fails as well."),
        _many(
            "--require",
            "require",
            callback=words_of,
            metavar="IDS",
            text="Checks that must come to a verdict, such as P101-P105,P201.",
        ),
        click.option("--waivers", metavar="FILE", help="TOML file of accepted violations."),
        click.option(
            "--baseline",
            metavar="RESULT.json",
            help="Fail only on what is new or worse than in this result.",
        ),
        click.option(
            "--baseline-rev",
            metavar="REV",
            help="Audit this git revision of the explainer first, as the baseline.",
        ),
        click.option(
            "--attest", metavar="FILE", help="Write an in-toto test-result statement to this file."
        ),
    )
)
pictures_options = together(
    (
        click.option(
            "--pictures",
            type=click.IntRange(min=0),
            metavar="N",
            help="At most so many pictures in result and reports; the maps stay.",
        ),
        click.option(
            "--no-pictures",
            "pictures",
            flag_value=0,
            type=click.IntRange(min=0),
            help="No pictures at all, such as of private images.",
        ),
    )
)
output_options = together(
    (
        click.option(
            "--reuse",
            is_flag=True,
            default=None,
            help="Reuse the evidence of a finished audit too, if nothing changed.",
        ),
        click.option("--out", metavar="FOLDER", help="Folder for the report and the evidence."),
        formats_option,
        click.option(
            "--history/--no-history", default=None, help="Keep the result in .audit/history."
        ),
        click.option(
            "--resume/--no-resume", default=None, help="Reuse finished evidence of the same audit."
        ),
        click.option(
            "--from-evidence",
            metavar="FOLDER",
            help="Judge the saved evidence in this folder again, without a model.",
        ),
    )
)

detail_options = together(
    (
        click.option(
            "-v", "--verbose", "detail", flag_value="all", help="Every check with its sentence."
        ),
        click.option("-q", "--quiet", "detail", flag_value="verdict", help="The verdict only."),
    )
)


def print_notes(notes: Iterable[str]) -> None:
    """Tell the user on standard error, so that the output of a command stays its own."""
    for note in notes:
        say_message(f"note: {note}")


def explainer_now(spec: str) -> tuple[str, tuple[str, ...]]:
    """An explainer under its present name, and a note where it was given by a former one."""
    from audit.former_names import present_explainer

    return present_explainer(spec)
