"""How an audit, or one pair of it, is run again: as a command line, and as lines of Python."""

from __future__ import annotations

import shlex
from typing import Any

from audit.config.settings import OF_EVIDENCE, Settings
from audit.engine.live_objects import NOTHING, LiveObjects
from audit.evidence.kinds import PAIR_PLACEHOLDER

_SUBJECTS = ("model", "data", "device", "dtype")
_SNIPPET = """\
import torch

from audit.config.settings import Settings
from audit.evidence.kinds import PAIR_PLACEHOLDER
from audit.engine.context_building import load_audited_model, load_pairs
from audit.explainers.binding import bound
from audit.explainers.contract import run_explainer
from audit.explainers.registry import load_explainer

settings = Settings({arguments})
model = load_audited_model(settings)
pairs = load_pairs(settings, model)
images, targets = pairs.batch(torch.tensor([0]), model.device, model.dtype)
explainer = bound(load_explainer(settings.explainer, settings.options), model, pairs.targets)
explanation = run_explainer(explainer, model.module, images, targets)
print("score of the model:", model.score(images, targets).item())
print("score returned by the explainer:", explanation.scores)
print("its map:", explanation.maps[0])
"""


_LIVE_SNIPPET = """\
# explainer, model and data: what audit.check was called with, where these lines are run
import audit

result = audit.check(explainer, {arguments})
for check in result.checks:
    print(check.id, check.finding.verdict.value, check.finding.summary)
"""


def command_line(settings: Settings, live: LiveObjects = NOTHING) -> str:
    """The command that runs the same audit again; a call of Python where objects were given."""
    if live.any:
        return _call(settings, live)
    words = ["audit", "check", "--explainer", settings.explainer]
    for key, value in settings.options.items():
        words += ["--option", f"{key}={value}"]
    for name, value in _given(settings).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            words.append(option)
            continue
        for each in value if isinstance(value, tuple) else (value,):
            words += [option, str(each)]
    return shlex.join(words)


def _call(settings: Settings, live: LiveObjects) -> str:
    """The call with its objects, each by what it is called in a result."""
    given = {"options": dict(settings.options)} if settings.options else {}
    given |= {n: v for n, v in _given(settings).items() if n not in _SUBJECTS}
    named = [
        f"{name}={getattr(settings, name) if held is not None else repr(getattr(settings, name))}"
        for name, held in (("model", live.model), ("data", live.data))
        if held is not None or getattr(settings, name) != "bundled"
    ]
    shown = settings.explainer.rpartition(":")[2]
    first = repr(settings.explainer) if live.explainer is None else shown
    rest = [f"{name}={value!r}" for name, value in given.items()]
    return f"audit.check({', '.join([first, *named, *rest])})"


def snippet(settings: Settings, live: LiveObjects = NOTHING) -> str:
    """Lines of Python that explain one pair, beside the model's score.

    `PAIR_PLACEHOLDER` stands for the pair's id. The lines need nothing of the audit's verdict, so
    that readers can check for themselves.
    """
    if live.any:
        own = {n: v for n, v in _given(settings).items() if n not in _SUBJECTS}
        own |= {"options": dict(settings.options)} if settings.options else {}
        named = [f"{k}={v!r}" for k, v in {**own, "pair": PAIR_PLACEHOLDER}.items()]
        return _LIVE_SNIPPET.format(arguments=", ".join(["model=model", "data=data", *named]))
    given = {"explainer": settings.explainer, **_given(settings)}
    if settings.options:
        given["options"] = dict(settings.options)
    given["pair"] = PAIR_PLACEHOLDER
    return _SNIPPET.format(arguments=", ".join(f"{k}={v!r}" for k, v in given.items()))


def _given(settings: Settings) -> dict[str, Any]:
    """What decides the evidence and differs from the defaults, some of which the profile sets."""
    profile = {"profile": settings.profile} if settings.profile != "default" else {}
    usual = Settings.model_validate(profile)
    values = {name: getattr(settings, name) for name in OF_EVIDENCE if name != "profile"}
    return {n: v for n, v in values.items() if v != getattr(usual, n)} | profile
