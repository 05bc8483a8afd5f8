"""Settings that are given and change nothing as the others stand: told, never passed over."""

from __future__ import annotations

from audit.config.settings import OF_EVIDENCE, Settings

_OF_THE_AUDIT = (
    "explainer",
    "options",
    *OF_EVIDENCE,
    "pair",
    "timeout",
    "max_time",
    "memory",
    "workers",
    "engine",
    "cache",
    "reuse",
)


def without_effect(settings: Settings) -> list[str]:
    """A note for each setting that was given and has no effect, with the reason."""
    given = settings.model_fields_set
    reasons: dict[str, str] = {}
    if settings.samples != "auto":
        reasons["budget"] = "it is the limit of --samples auto"
    if settings.data == "bundled":
        reasons |= dict.fromkeys(
            ("template", "allow_outside", "grid"), "the bundled data needs none"
        )
    if settings.model == "bundled":
        reasons["allow_download"] = "the bundled model is here"
    if settings.engine != "ray":
        reasons["ray_address"] = "it is that of --engine ray"
    if not settings.resume:
        reasons["reuse"] = "--no-resume gathers all evidence again"
    if settings.from_evidence:
        why = "--from-evidence judges what an audit has gathered"
        reasons |= dict.fromkeys(_OF_THE_AUDIT, why)
    return [
        f"setting '{name}' has no effect: {why}"
        for name, why in reasons.items()
        if name in given and getattr(settings, name) != type(settings).model_fields[name].default
    ]
