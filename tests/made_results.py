"""A realistic result with every kind of figure and every verdict, plain or full of hostile text."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from audit.result import schema
from audit.result.figures import (
    BarsFigure,
    Figure,
    NamedMap,
    PairFigure,
    Point,
    ScatterFigure,
    Series,
    SourceFigure,
    TableFigure,
)
from audit.result.finding import Finding, Location, Severity, Verdict, Witness
from audit.result.numbers import Interval, Statistic
from audit.result.shown_pairs import pairs_shown, picture_key

HOSTILE = (
    "<img src=x onerror=alert(1)>\"'`--></script></style></title></textarea>"
    "<script>document.title='owned'</script>&amp;{{ 7*7 }}${7*7}\u202etxt.exe\u2066\u200f"
    "\x00\x07\x1b[31m\x9b]]>|*_[x](javascript:alert(1)) https://evil.example/?a=b&c=d @all #1 "
    "%0A::error::owned\n::error::owned\r\x85\u2028\udc80\ud800" + "w" * 3000
)


def png(rng: np.random.Generator, size: int = 72) -> str:
    """A noisy picture with a disk, as base64."""
    pixels = rng.integers(90, 170, (size // 6, size // 6, 3)).repeat(6, 0).repeat(6, 1)
    pixels = pixels + rng.integers(-20, 20, (size, size, 3))
    rows, columns = np.indices((size, size))
    disk = (rows - size * 0.4) ** 2 + (columns - size * 0.6) ** 2 < (size * 0.2) ** 2
    pixels[disk] = (215, 45, 45)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def blob(
    rng: np.random.Generator, row: float, column: float, *, signed: bool = False
) -> list[list[float]]:
    """A map on 12 by 12 patches with its peak at a place."""
    rows, columns = np.indices((12, 12))
    values = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 9) + rng.random((12, 12)) / 5
    return (values - 0.5 if signed else values).round(5).tolist()


def pair(rng: np.random.Generator, index: int, text: str, **more: object) -> PairFigure:
    """A pair with three maps on one signed scale."""
    executed = np.array(blob(rng, 5, 7))
    model = np.array(blob(rng, 6, 4))
    fields: dict[str, object] = {
        "title": f"Pair {index}",
        "caption": "",
        "pair": f"scene-{index:04d}",
        "maps": [
            NamedMap(title="as executed", values=executed.tolist()),
            NamedMap(title="on the model", values=model.tolist()),
            NamedMap(title="difference", values=(executed - model).tolist()),
        ],
        "shared_scale": True,
        "tags": ["prediction wrong" if index % 5 == 0 else "prediction right"],
    }
    return PairFigure(**{**fields, **more})


def shown(
    rng: np.random.Generator, text: str, pairs: list[str]
) -> tuple[dict[str, schema.ShownPair], dict[str, str]]:
    """What is shown of each pair, its mask included, and the pictures; one is no picture."""
    rows, columns = np.indices((12, 12))
    mask = ((rows - 4.8) ** 2 + (columns - 7.2) ** 2 < 6).astype(float).tolist()
    pngs = {pair: text if pair == text else png(rng) for pair in pairs}
    shown_pairs = {
        pair: schema.ShownPair(
            text=text, picture=picture_key(one), mask=None if pair == text else mask
        )
        for pair, one in pngs.items()
    }
    return shown_pairs, {picture_key(one): one for one in pngs.values()}


def every_figure(rng: np.random.Generator, text: str) -> list[Figure]:
    """One figure of each kind and each of its corner cases."""
    unknown = [[None, 1.0], [0.5, None], []]
    return [
        pair(rng, 1, text, caption=text),
        pair(
            rng,
            2,
            text,
            shared_scale=False,
            maps=[
                NamedMap(title="signed " + text, values=blob(rng, 3, 3, signed=True)),
                NamedMap(title="flat", values=[[0.25] * 12] * 12),
                NamedMap(title="unknown", values=unknown),
                NamedMap(title="empty", values=[]),
                NamedMap(title="nothing known", values=[[None]]),
                NamedMap(title="large", values=np.arange(4096.0).reshape(64, 64).tolist()),
            ],
        ),
        pair(rng, 3, text, pair=text),
        BarsFigure(
            title="Divergence of attention, block by block",
            caption="Largest difference between the attention executed and the model's. " + text,
            labels=["block 1", "block 2", "block 3", "block 4", text],
            values=[2.1e-7, 3.0e-7, 2.6e-7, 0.81, None],
            limit=1e-5,
            log_scale=True,
        ),
        BarsFigure(
            title="Gain over the center prior",
            caption="",
            labels=["grad-eclip", "edges", "random"],
            values=[0.31, 0.0, -0.42],
            unit="points",
        ),
        BarsFigure(title="No bars", caption="", labels=[], values=[]),
        ScatterFigure(
            title="Localization along the ladder",
            caption="Each point is a copy of the model.",
            x_label="zero-shot accuracy",
            y_label="localization, chance-corrected",
            series=[
                ladder("grad-eclip", 0.87),
                ladder("grad-attention", 0.88, seed=2),
                ladder("center-prior", 0.18, flat=True),
                ladder(text, 0.5, flat=True),
            ],
        ),
        ScatterFigure(title="No points", caption="", x_label="x", y_label="y", series=[]),
        TableFigure(
            title="Heads",
            caption="",
            columns=["block", "model", "executed", text],
            rows=[["4", "4", "1", text], ["3", "4", "4", ""]],
        ),
        SourceFigure(
            title="The explainer computes this attention itself",
            caption="",
            file="explainers/grad_eclip.py",
            line=88,
            first_line=84,
            lines=[
                "    q, k, v = project(x, block.attn.in_proj_weight, block.attn.in_proj_bias)",
                "    width = q.shape[-1]",
                "    # heads = block.attn.num_heads",
                "    heads = 1",
                "    attention = torch.softmax(q @ k.transpose(-2, -1) / width**0.5, dim=-1)",
                text,
            ],
        ),
    ]


def ladder(name: str, top: float, *, flat: bool = False, seed: int = 1) -> Series:
    """Quality against accuracy over 16 rungs."""
    rng = np.random.default_rng(seed)
    points = []
    for accuracy in np.linspace(0.05, 0.98, 16).tolist():
        quality = top if flat else top * (1 - (1 - accuracy) ** 2 * 0.6)
        y = quality + float(rng.normal(0, 0.015))
        points.append(
            Point(
                x=accuracy,
                y=y,
                x_interval=Interval(low=max(accuracy - 0.04, 0), high=min(accuracy + 0.04, 1)),
                y_interval=Interval(low=y - 0.03, high=y + 0.03),
                label="noise 0.3",
            )
        )
    return Series(name=name, points=points, line=not flat, control=flat)


def check(id_: str, name: str, title: str, finding: Finding, **more: object) -> schema.CheckResult:
    """A check's metadata around its finding."""
    fields: dict[str, object] = {
        "id": id_,
        "name": name,
        "principle": int(id_[1]),
        "title": title,
        "severity": Severity.ERROR,
        "reference": "Cui and Fan, arXiv 2605.12952, principle " + id_[1],
        "what_it_does": "Compares what the explainer executed with what the model executes.",
        "why_it_matters": "A map of another model says nothing about the one in production.",
        "how_to_fix": "Differentiate the score that the model itself computes.",
        "what_a_pass_does_not_show": "That the map is right; only that it is of this model.",
        "thresholds": {"tolerance": 1e-5, "least_pairs": 64, "paired": True, "kind": "cosine"},
        "finding": finding,
    }
    return schema.CheckResult(**{**fields, **more})


def statistic(
    name: str,
    value: float | None,
    ends: tuple[float | None, float | None],
    threshold: float | None,
    side: str | None,
    **more: object,
) -> Statistic:
    """A statistic with its interval."""
    return Statistic(
        name=name,
        value=value,
        interval=Interval(low=ends[0], high=ends[1]),
        threshold=threshold,
        good_side=side,
        n=192,
        smallest_visible_effect=0.021,
        **more,
    )


def measured(
    title: str, means: list[float | None], extra: str, **more: object
) -> schema.MeasuredQuality:
    """A measure of map quality over some explainers, of the last of which nothing is known."""
    fields = {"decides": False, "better": "higher"} | more
    return schema.MeasuredQuality(
        name=title,
        title=title,
        needs="masks, or grids" + extra,
        span="[0, 1]" + extra,
        source="Arras et al. 2022" + extra,
        differs="on patches" + extra,
        of=[
            schema.QualityOfExplainer(
                explainer=f"explainer {place}" + extra,
                mean=mean,
                interval=None if mean is None else Interval(low=mean - 0.1, high=mean + 0.1),
                n=0 if mean is None else 192,
            )
            for place, mean in enumerate(means)
        ],
        **fields,
    )


def build(*, text: str = "a red plain shape", pairs: int = 12) -> schema.Result:
    """A result in which every foreign string is or contains `text`."""
    rng = np.random.default_rng(7)
    hostile = text == HOSTILE
    extra = text if hostile else ""
    error = statistic("largest error of the score", 0.0834, (0.071, 0.097), 1e-5, "below")
    heads = Finding(
        verdict=Verdict.VIOLATION,
        summary="Block 4 runs with 1 head where the model has 4; its attention differs by 0.81. "
        + extra,
        detail=["The image feature that results has a cosine of 0.863 to the model's. " + extra],
        statistics=[
            statistic("largest divergence of attention", 0.81, (0.79, 0.83), 1e-5, "below"),
            statistic("cosine of the features", 0.863, (0.85, None), 0.9999, "above"),
            Statistic(name="heads executed " + extra, value=1, threshold=4, unit="heads" + extra),
            Statistic(name="not measured", value=None),
        ],
        samples=[f"scene-{index:04d}" for index in range(1, 5)] + [text],
        locations=[
            Location(file="explainers/grad_eclip.py", line=88, text="softmax(q @ k)"),
            Location(file=text, line=1, text=text),
        ],
        figures=every_figure(rng, text),
        witness=Witness(
            pair="scene-0003",
            command="audit check --explainer grad-eclip --select P105 --pairs scene-0003 " + extra,
            snippet="from audit import trace\n\nprint(trace('grad-eclip', 'scene-0003'))\n" + extra,
        ),
    )
    plain = {"text": text, "hostile": extra}
    checks = [
        check(
            "P101",
            "weights-unchanged",
            "Are parameters bit-identical?",
            Finding(
                verdict=Verdict.PASS,
                summary="All 214 parameters stayed as they were.",
                statistics=[
                    Statistic(
                        name="parameters changed", value=0, threshold=0, good_side="below", n=214
                    )
                ],
            ),
        ),
        check(
            "P102",
            "structure-unchanged",
            "Is the structure as before?",
            Finding(
                verdict=Verdict.VIOLATION,
                summary="A hook was left behind. " + extra,
                statistics=[
                    Statistic(name="hooks left behind", value=1, threshold=0, good_side="below")
                ],
            ),
            waiver=schema.Waiver(
                check="P102",
                reason="fixed in 2.1 " + extra,
                owner="vision team " + extra,
                expires="2026-12-31",
            ),
        ),
        check(
            "P103",
            "input-unchanged",
            "Do the pixels reach the first layer?",
            Finding(verdict=Verdict.NOT_APPLICABLE, summary="No pass was recorded. " + extra),
        ),
        check(
            "P104",
            "score-preserved",
            "Is the explained scalar the model's score?",
            Finding(
                verdict=Verdict.VIOLATION,
                statistics=[error],
                samples=["scene-0003"],
                summary="The score that is explained is not the model's: it is off by 0.083.",
                figures=[pair(rng, 3, text)],
            ),
            is_new=True,
        ),
        check(
            "P105",
            "computation-preserved",
            "Does each block give the model's output? " + extra,
            heads,
            is_new=False,
        ),
        check(
            "P106",
            "invariant-to-reparametrization",
            "Does the map stay put?",
            Finding(
                verdict=Verdict.VIOLATION,
                severity=Severity.WARNING,
                summary="Maps move by 0.09 under a compensated value bias.",
                statistics=[statistic("mean rank correlation", 0.957, (0.94, 0.97), 0.98, "above")],
            ),
            severity=Severity.WARNING,
        ),
        check(
            "P201",
            "tracks-ladder",
            "Does quality rise with performance?",
            Finding(
                verdict=Verdict.PASS,
                summary="Quality follows accuracy along the ladder.",
                statistics=[statistic("rank correlation", 0.93, (0.81, 0.98), 0.5, "above")],
            ),
        ),
        check(
            "P202",
            "tracks-samples",
            "Are maps better where the model is right?",
            Finding(
                verdict=Verdict.INCONCLUSIVE,
                summary="5 of 192 predictions are wrong: too few to tell.",
                statistics=[
                    statistic(
                        "AUROC",
                        0.52,
                        (0.31, 0.73),
                        0.5,
                        "above",
                        p=0.64,
                        p_test="permutations of correctness " + extra,
                        p_adjusted=0.81,
                    )
                ],
            ),
            severity=Severity.WARNING,
        ),
        check(
            "P204",
            "no-better-map-from-a-worse-model",
            "How well does it classify?",
            Finding(verdict=Verdict.ERROR, summary="The evidence is missing. " + extra),
        ),
    ]
    if hostile:
        checks.append(
            check(
                "P1" + text,
                text,
                text,
                Finding(verdict=Verdict.PASS, summary=text),
                what_it_does=text,
                why_it_matters=text,
                how_to_fix=text,
                reference=text,
                what_a_pass_does_not_show=text,
                thresholds={text: text},
            )
        )
    gallery = [pair(rng, index, text, caption=extra) for index in range(1, pairs + 1)]
    shown_pairs, pictures = shown(rng, text, pairs_shown(checks, gallery))
    return schema.Result(
        verdict="violation",
        exit_code=1,
        headline="grad-eclip explains another model than the one it is given " + extra,
        principle_sentences={
            "1": "It runs the last block with 1 head where the model has 4, so its score is not "
            "the model's. " + extra,
            "2": "Its maps follow the ladder; whether they profit from the change is open.",
        },
        explainer=schema.ExplainerInfo(
            name="grad-eclip" + extra,
            options={"weight": "projected", **({text: text} if hostile else {})},
            summary="Gradient of the score times the values. " + extra,
            source_file="explainers/grad_eclip.py" + extra,
            source_line=41,
            source_sha256="ab" * 32,
        ),
        model=schema.ModelInfo(
            name="bundled" + extra,
            pretrained="scenes" + extra,
            state_sha256="cd" * 32,
            parameters=1_043_712,
            image_size=72,
            image_blocks=4,
            image_heads=4,
            patch_grid=[12, 12],
            text_blocks=2,
            text_heads=4,
        ),
        data=schema.DataInfo(
            name="scenes" + extra,
            pairs=max(pairs, 1),
            pictures=192,
            classes=36,
            templates=["a picture of a {}." + extra],
            sha256="ef" * 32,
            has_masks=True,
            zero_shot_accuracy=0.974,
            zero_shot_interval=Interval(low=0.94, high=0.991),
        ),
        conditions=schema.Conditions(
            audit_version="0.1.0",
            versions={"torch": "2.9.0", "python": "3.11.7", **({text: text} if hostile else {})},
            git_commit="0123456789abcdef",
            git_dirty=True,
            seed=0,
            device="cpu",
            dtype="float32",
            settings={"samples": "192", "fail_on": "violation", **plain},
            command="audit check --explainer grad-eclip " + extra,
        ),
        timing=schema.Timing(
            started="2026-05-04T10:11:12+00:00",
            gathering={"reference": 8.2, "trace": 3.4, "ladder": 71.0},
            judging={check.id: 0.12 for check in checks},
        ),
        checks=checks,
        controls=[
            schema.ControlResult(
                name="grad-attention",
                role="positive",
                note="as expected " + extra,
                quality={"localization": 0.88, "faithfulness": 0.41},
            ),
            schema.ControlResult(
                name="edges" + extra,
                role="negative",
                note="as expected",
                quality={"localization": 0.57, "faithfulness": None},
            ),
        ],
        equivalences=[
            schema.Equivalence(
                name="attention-eclip" + extra,
                equivalent=True,
                largest_difference=2.2e-7,
                mean_rank_correlation=1.0,
                note="the same map by another route " + extra,
            ),
            schema.Equivalence(
                name="grad-attention",
                equivalent=False,
                largest_difference=None,
                mean_rank_correlation=0.61,
            ),
        ],
        quality=[
            measured("energy gain" + extra, [0.41, 0.38, None], extra, decides=True),
            measured("max-sensitivity", [0.02, 0.0], extra, better="lower", passes=1_120),
        ],
        gallery=gallery,
        shown_pairs=shown_pairs,
        pictures=pictures,
        failures=[
            schema.Failure(
                where="ladder" + extra,
                message="rung 3 ran out of memory" + extra,
                traceback="Traceback (most recent call last):\n  …\n" + text,
            )
        ],
        notes=["The waiver for P109 was not used. " + extra],
    )
