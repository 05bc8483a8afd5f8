"""Settings under which explainers of many passes are cheap enough for tests."""

REDUCED = {
    "integrated-gradients": "integrated-gradients?steps=3",
    "smooth-grad": "smooth-grad?samples=3",
    "rise": "rise?masks=12&cells=3",
    "tam": "tam?steps=2",
    "m2ib": "m2ib?steps=2&copies=1",
    "tis": "tis?masks=6",
    "text-integrated-gradients": "text-integrated-gradients?steps=3",
    "meaningful-perturbation": "meaningful-perturbation?steps=3&cells=4",
    "extremal-perturbation": "extremal-perturbation?steps=3",
}


def reduced(name: str) -> str:
    """The spec of a built-in explainer at settings for tests."""
    return REDUCED.get(name, name)
