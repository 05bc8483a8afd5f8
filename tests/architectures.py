"""Architectures with random weights: how deeply each one is known, and whether it can be audited.

``python -m tests.architectures`` loads each one as ``--pretrained random`` does: all of open_clip,
and a choice of the other libraries. It says what is known of its inside, how far the known blocks
are off by the check on loading, and whether P101 to P105 of `gradient` pass on a random picture,
through the trace and the judges of an audit. ``--write`` puts the rows into ``docs/models.md``, one
by one, so that a run that was interrupted goes on where it was; ``--again`` measures those that are
there once more, ``--inside`` their inside alone. ``--part 1/4`` is a quarter of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import logging
import multiprocessing
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

from audit.data.pairs import Pairs
from audit.engine.progress import silent
from audit.evidence.context import Context, Sizes
from audit.evidence.kinds import Costs, Evidence, Reference, Roles
from audit.evidence.traces import gather_trace
from audit.explainers.binding import bound
from audit.explainers.registry import load_explainer
from audit.judging.judge_all import judge_all
from audit.models.anatomy import UnknownAnatomyError
from audit.models.block_check import checked
from audit.models.block_table import block_view, call_of, why_not
from audit.models.loading import load_model
from audit.models.model_under_audit import ModelUnderAudit
from audit.models.pristine import pristine_copy
from audit.models.structure import AnyTower
from audit.models.tower_chain import ChainTower, Stage
from audit.result.finding import Verdict
from principles.catalogue import all_checks
from tests.architecture_names import CUT, every_name, placed, two_blocks, write_configurations
from tests.architecture_rows import (
    BEGIN,
    LISTED,
    PAGE,
    PASSED,
    Row,
    faults,
    listed,
    not_measured,
    read_rows,
    too_few_full,
    written,
)

CHECKS = ("P101", "P102", "P103", "P104", "P105")
EXPLAINER = "gradient"
MOST_SECONDS = 1200


def context_of(model: ModelUnderAudit) -> Context:
    """An audit of `gradient` on two random pictures, of which one is traced."""
    texts = ["a photo of a cat.", "a photo of a dog."] if model.uses_templates else ["0", "1"]
    size = model.image_size
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    places = torch.arange(2)
    pairs = Pairs(
        name="random", ids=("pair-0", "pair-1"), images=images, picture=places, labels=places,
        present=torch.eye(2, dtype=torch.bool), masks=None, classes=tuple(texts),
        templates=("{}",), targets=model.encode(texts),
    )  # fmt: skip
    roles = Roles(EXPLAINER, (), (), None, True, False, False)
    explainers = {EXPLAINER: bound(load_explainer(EXPLAINER), model, pairs.targets)}
    pristine, sizes = pristine_copy(model.module), Sizes(traced=1)
    return Context(model, pristine, pairs, explainers, roles, sizes, 0, silent)


def verdicts(context: Context) -> str:
    """``pass``, or which of the checks do not, and why."""
    grid, pairs = context.grid, context.pairs
    nothing = torch.zeros(2, 2).numpy()
    reference = Reference(
        ids=pairs.ids, texts=pairs.ids, classes=pairs.classes, picture=nothing[0],
        labels=nothing[0], present=nothing, scores=nothing, masks=None, image_blocks=0,
        text_blocks=0, image_grid=grid, score_name=context.model.score_name,
    )  # fmt: skip
    trace = gather_trace(context, Costs({EXPLAINER: 1.0}))
    evidence = Evidence(roles=context.roles, reference=reference, trace=trace)
    checks = [check for check in all_checks() if check.id in CHECKS]
    results, failures = judge_all(checks, evidence, [], severity={}, thresholds={})
    told = [f"{failure}" for failure in failures]
    told += [
        f"{r.id} {r.finding.verdict.value}: {r.finding.summary}"
        for r in results
        if r.finding.verdict is not Verdict.PASS
    ]
    return "; ".join(told) or PASSED


def insides(tower: AnyTower, given: Tensor) -> Iterator[tuple[bool, float | None]]:
    """Of each block or step of a tower whether it is known, and its error by the check, if any."""
    x = tower.embed(given)
    for block in tower.blocks:
        mask = tower.mask(x.shape[1])
        if not isinstance(block, Stage):
            yield True, checked(block, x, mask)
        elif why_not(block.module) is None:
            call = call_of(block.module, (x, *block.step.args), block.step.keywords)
            view = block_view(block.module, tower.name, block.index, block.path, call.extra)
            yield False, None if view is None else checked(view, call.x, call.mask)
        else:
            yield False, None
        x = block.run(x, mask)
        if isinstance(tower, ChainTower) and block.index + 1 < len(tower.blocks):
            x = tower.passed_on(x, block.index, given)


@torch.no_grad()
def inside_of(context: Context) -> tuple[str, str, str, list[str]]:
    """The cells of what is known of the inside, and why it is not all."""
    structure, pairs = context.watched().structure, context.pairs
    counts, errors, refused = [], [], []
    for tower in structure.towers:
        found = list(insides(tower, (pairs.images if tower.name == "image" else pairs.targets)[:1]))
        counts.append(f"{sum(known for known, _ in found)} of {len(found)} {tower.name}")
        errors += [error for known, error in found if known and error is not None]
        refused += [error for known, error in found if not known and error is not None]
    reasons = []
    try:
        context.model.require_anatomy()
        level = "full"
    except UnknownAnatomyError as error:
        level = "blocks" if errors else "scores"
        reasons.append(str(error).partition(";")[0])
    if refused:
        reasons.append(
            f"{len(refused)} blocks with names of the table, rebuilt from their parts, are off by "
            f"{min(refused):.0e} or more"
        )
    return level, ", ".join(counts), f"{max(errors):.0e}" if errors else "", reasons


def measured(name: str, made: Path, *, judged: bool) -> Row:
    """Load an architecture and measure it; ``judged`` by the checks as well."""
    cut = name in CUT
    with two_blocks() if cut else nullcontext():
        model = load_model(placed(name, made), "random")
    context = context_of(model)
    inside, known, error, remarks = inside_of(context)
    remarks += [f"measured with two blocks a tower, {model.image_size} px"] if cut else []
    checks = verdicts(context) if judged else "not judged yet"
    return Row(name, inside, known, error, checks, "; ".join(remarks))


def _in_child(name: str, made: Path, judged: bool, sender) -> None:
    warnings.simplefilter("ignore")
    try:
        sender.send(measured(name, made, judged=judged))
    except Exception as error:  # noqa: BLE001 - of any library; the others go on
        sender.send(_failed(name, f"{type(error).__name__}: {str(error)[:300]}"))


def _failed(name: str, why: str) -> Row:
    return Row(name, f"FAILED: {why}", "", "", "", "")


def measured_apart(name: str, made: Path, *, judged: bool) -> tuple[Row, float]:
    """The same in a process of its own, which gives its memory back; and how long it took."""
    started = time.perf_counter()
    forked = multiprocessing.get_context("fork")
    receiver, sender = forked.Pipe(duplex=False)
    process = forked.Process(target=_in_child, args=(name, made, judged, sender))
    process.start()
    sender.close()
    try:
        row = receiver.recv() if receiver.poll(MOST_SECONDS) else _failed(name, "it took too long")
    except EOFError:
        process.join()
        row = _failed(name, f"its process ended with code {process.exitcode}")
    process.kill()
    process.join()
    return row, time.perf_counter() - started


def measure_all(names: list[str], rows: dict[str, Row], options: argparse.Namespace) -> None:
    """Measure architectures side by side, and write each row when it is there."""
    kept = dict(rows)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.workers) as workers:
        made = Path(folder)
        write_configurations(made)
        with mock.patch("huggingface_hub.constants.HF_HUB_CACHE", folder):
            work = functools.partial(measured_apart, made=made, judged=not options.inside)
            for done in as_completed([workers.submit(work, name) for name in names]):
                row, seconds = done.result()
                if options.inside and row.name in kept:
                    row = dataclasses.replace(row, checks=kept[row.name].checks)
                rows[row.name] = row
                print(f"{row.text} {seconds:.0f} s", flush=True)
                if options.write:
                    write(row)


def write(row: Row) -> None:
    """Put a row into the page and what is listed, beside those that they have by now."""
    page = PAGE.read_text("utf-8")
    rows = {**read_rows(page), row.name: row}
    PAGE.write_text(written(page, rows), encoding="utf-8")
    LISTED.write_text(listed(rows), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="architectures; all by default")
    parser.add_argument("--part", default="1/1", help="which of how many parts, such as 2/4")
    parser.add_argument("--write", action="store_true", help="put the rows into docs/models.md")
    parser.add_argument("--again", action="store_true", help="also those that are there already")
    parser.add_argument("--inside", action="store_true", help="what is known of the inside alone")
    parser.add_argument("--workers", type=int, default=2, help="processes side by side")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rows = read_rows(PAGE.read_text("utf-8")) if BEGIN in PAGE.read_text("utf-8") else {}
    part, parts = map(int, options.part.split("/"))
    names = options.names or every_name()[part - 1 :: parts]
    there = {row.name for row in rows.values() if not faults({row.name: row})}
    if not (options.names or options.again or options.inside):
        names = [name for name in names if name not in there]
    measure_all(names, rows, options)
    wrong = faults(rows)
    if not options.names and options.part == "1/1":
        wrong += [*not_measured(rows), *too_few_full(rows)]
    raise SystemExit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
