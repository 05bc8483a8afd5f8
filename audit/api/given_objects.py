"""What a call from Python gives as objects, in the place of names in the settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from audit.config.settings import Settings, SettingsError
from audit.config.settings_file import call_settings
from audit.engine.live_objects import LiveObjects, name_of, sources_without_files

if TYPE_CHECKING:
    from torch import Tensor, nn

    from audit.models.given_module import GivenModel
    from audit.models.model_under_audit import ModelUnderAudit

    Explainer = str | Callable[..., Any]
    Model = str | nn.Module | ModelUnderAudit
    Score = Callable[[nn.Module, Tensor, Tensor], Tensor]

BUNDLED = "bundled"
_OF_NAMED_MODELS = ("pretrained", "tokenizer", "allow_download")
_OF_NAMED_DATA = ("allow_outside",)


def live_objects(
    explainer: object,
    model: object,
    data: object,
    other: object = None,
    *,
    score: Any,
    preprocess: Any,
    classes: Any,
) -> LiveObjects:
    """What was given as objects; torch is imported only where there are some."""
    given: GivenModel | None = None
    if isinstance(model, str):
        around = {"score": score, "preprocess": preprocess, "classes": classes}
        if told := [name for name, value in around.items() if value is not None]:
            raise SettingsError(
                f"{', '.join(told)}: expected beside a plain nn.Module, but the model is a name "
                f"('{model}'), which says how it is called; leave it out"
            )
    else:
        from audit.models.given_module import given_model

        given = given_model(model, score, preprocess, classes)
    for one in (explainer, other):
        if not (one is None or isinstance(one, str) or callable(one)):
            raise SettingsError(
                "expected an explainer as a name, a function (model, images, targets) -> maps or a "
                f"class, got {type(one).__name__}"
            )
    live = LiveObjects(
        explainer=explainer if callable(explainer) else None,
        other=other if callable(other) else None,
        model=given,
        data=None if isinstance(data, (str, os.PathLike)) else data,
    )
    return live.with_sources(sources_without_files()) if live.any else live


def settings_of(
    explainer: Any, model: Any, data: Any, live: LiveObjects, given: dict[str, Any]
) -> Settings:
    """The settings of a call, whose objects go by their names."""
    named = dict(given)
    named["explainer"] = explainer if isinstance(explainer, str) else name_of(explainer)
    named["model"], named["data"] = model, data
    if live.model is not None:
        _refuse(given, _OF_NAMED_MODELS, "model")
        named |= live.model.named()
    if live.data is not None:
        _refuse(given, _OF_NAMED_DATA, "data")
        named["data"] = "tensors" if isinstance(data, tuple) else type(data).__name__
    elif live.model is not None and data == BUNDLED and not live.model.preprocesses:
        raise SettingsError(
            "expected data as tensors that are ready for the module, or preprocess=, got a plain "
            "module alone, which takes no pictures of the bundled scenes"
        )
    if live.any:
        _refuse(given, ("reuse", "resume", "baseline_rev"), "explainer, model or data")
        named["resume"] = False  # what objects compute cannot be told from files
    return call_settings({"history": False, **{k: _plain(v) for k, v in named.items()}})


def _refuse(given: dict[str, Any], names: Sequence[str], what: str) -> None:
    wrong = [name for name in names if given.get(name)]
    if wrong:
        raise SettingsError(
            f"setting '{wrong[0]}': expected beside the {what} as a name, got an object; leave it "
            f"out, or give the {what} as a name"
        )


def _plain(value: Any) -> Any:
    """Paths as text, and lists as the settings hold them."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return tuple(value) if isinstance(value, list) else value
