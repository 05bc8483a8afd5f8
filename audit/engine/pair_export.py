"""The pairs of an audit written to disk, so that maps of them can be drawn elsewhere.

What is written is what an audit of saved maps asks for: its pairs, those chosen by their margin,
and every picture asked for a class that it does not show. A recorder takes the explainer's place
and writes down what it is given.
"""

from __future__ import annotations

import base64
import csv
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from audit.config.settings import Settings, SettingsError
from audit.data.pairs import Pairs
from audit.engine.context_building import build_context, load_audited_model
from audit.engine.picture_drawing import picture_png
from audit.engine.progress import Progress, silent
from audit.engine.reproduction import command_line
from audit.evidence.context import Context
from audit.evidence.kinds import Evidence
from audit.evidence.plan import gather_kind, plan
from audit.explainers.contract import Explainer
from audit.explainers.saved_maps import pair_key, picture_hash

COLUMNS = ("key", "picture", "class", "text", "pair", "shown")
_ASKED = frozenset({"explanations", "chosen_pairs", "class_pairs", "text_specificity"})
_STAND_IN = "maps:maps.npz"


@dataclass
class Recorder:
    """Takes the explainer's place and remembers pictures and targets, in order, each once.

    Attributes:
        images: preprocessed pictures by their hash.
        targets: by the key of the pair.
    """

    images: dict[str, Tensor] = field(default_factory=dict)
    targets: dict[str, Tensor] = field(default_factory=dict)

    def __call__(
        self, model: nn.Module, images: Float[Tensor, "b 3 H W"], targets: Int[Tensor, "b ..."]
    ) -> Float[Tensor, "b h w"]:
        """Empty maps."""
        del model
        for image, target in zip(images, targets, strict=True):
            picture = picture_hash(image)
            self.images.setdefault(picture, image.detach().float().cpu())
            self.targets.setdefault(pair_key(picture, target), target.detach().cpu())
        return images.new_zeros(len(images), *images.shape[-2:])


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        pairs: pictures with a target, each once.
        pictures: among them.
        command: audits the maps that are drawn of them.
    """

    pairs: int
    pictures: int
    command: str


def export_pairs(settings: Settings, folder: Path, progress: Progress = silent) -> Exported:
    """Write pictures, targets and keys of all that an audit of saved maps asks for.

    ``pairs.csv`` has a row for each pair: its ``key``, the file of its picture as the model
    receives it, the ``class`` and ``text`` that it is asked for, the ``pair`` as reports name it
    (empty where the class is not shown), and whether the picture shows the class. ``inputs.npz``
    has the same rows as ``keys`` (pairs,), ``picture`` (pairs,), ``targets`` (pairs, ...), and
    ``images`` (pictures, 3, H, W), preprocessed, in single precision.

    Raises:
        SettingsError: the number of pairs is not fixed.
        OSError: the folder cannot be written.
    """
    if settings.samples == "auto":
        raise SettingsError(
            "samples: expected a number of pairs, whose maps can be drawn beforehand, got auto"
        )
    recorder = Recorder()
    context = _context(settings, recorder, progress)
    evidence = Evidence(roles=context.roles)
    for kind in plan(_ASKED):
        evidence = replace(evidence, **{kind: gather_kind(kind, context, evidence)})
    _write(folder, recorder, context)
    alike = settings.model_copy(update={"explainer": _STAND_IN, "options": {}})
    command = f"{command_line(alike)} {shlex.join(['--select', 'P2'])}"
    return Exported(len(recorder.targets), len(recorder.images), command)


def _context(settings: Settings, recorder: Recorder, progress: Progress) -> Context:
    """As that of an audit, with the recorder alone."""
    alone = settings.model_copy(update={"explainer": _STAND_IN, "options": {}})
    explainer = Explainer("recorder", recorder)
    context = build_context(alone, load_audited_model(alone), explainer, progress)
    roles = replace(context.roles, positive=(), negative=(), twin=None)
    name = roles.audited
    return replace(context, roles=roles, explainers={name: context.explainers[name]})


def _write(folder: Path, recorder: Recorder, context: Context) -> None:
    pictures = folder / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    for name, image in recorder.images.items():
        (pictures / f"{name}.png").write_bytes(base64.b64decode(picture_png(context, image)))
    keys = list(recorder.targets)
    place = {name: i for i, name in enumerate(recorder.images)}
    np.savez_compressed(
        folder / "inputs.npz",
        keys=np.array(keys),
        picture=np.array([place[_picture_of(key)] for key in keys]),
        targets=torch.stack(list(recorder.targets.values())).numpy(),
        images=torch.stack(list(recorder.images.values())).numpy(),
    )
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(_rows(keys, recorder, context))


def _rows(keys: Sequence[str], recorder: Recorder, context: Context) -> list[tuple[str, ...]]:
    ids: dict[str, str] = {}
    named = context.pairs.in_other_words()
    for pairs in (context.many_pairs(), context.pairs):
        for number in range(1 + len(pairs.other_names)):
            every = list(range(len(pairs)))
            names = (pairs.labels + number * len(pairs.classes)).tolist()
            ids |= _ids_of(pairs.asked_by(every, names))
    rows: list[tuple[str, ...]] = []
    for key in keys:
        target = recorder.targets[key]
        index = int((named.targets == target).flatten(1).all(1).nonzero()[0])
        text = named.templates[0].format(named.classes[index])
        pair = ids.get(key, "")
        file = f"pictures/{_picture_of(key)}.png"
        rows.append((key, file, named.classes[index], text, pair, "yes" if pair else "no"))
    return rows


def _ids_of(pairs: Pairs) -> dict[str, str]:
    """The ids of some pairs by their keys."""
    hashes = [picture_hash(image) for image in pairs.images]
    return {
        pair_key(hashes[int(picture)], pairs.targets[int(label)]): name
        for name, picture, label in zip(pairs.ids, pairs.picture, pairs.labels, strict=True)
    }


def _picture_of(key: str) -> str:
    return key.partition("-")[0]
