"""Built-in explainers that are known to give the same maps, with the algebra that says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from audit.explainers.known_names import QUERY
from audit.metrics.map_relation import Relation


@dataclass(frozen=True)
class Identity:
    """Two explainers whose maps are related on every model.

    Attributes:
        one: its spec, with the options that the identity needs.
        other: that of the other one.
        relation: of their maps.
        algebra: why, in a clause.
        alike: whether further options may be given to both, each the same value.
    """

    one: str
    other: str
    relation: Relation
    algebra: str
    alike: bool = False


IDENTITIES = (
    Identity(
        "grad-eclip",
        "attention-eclip",
        Relation.EQUAL,
        "with o = sum_i a_i v_i, the gradient by an attention weight is "
        "dS/da_i = sum_c (dS/do_c) v_ic",
        alike=True,
    ),
    Identity(
        "libra-grad",
        "attn-lrp?attention=constant",
        Relation.EQUAL,
        "with constant attention only norms, gates and the length of the feature are left to be "
        "held fixed, and both hold these",
    ),
    Identity(
        "smooth-grad?noise=0&samples=1",
        "gradient",
        Relation.EQUAL,
        "a sample without noise is the picture itself",
    ),
    Identity(
        "game?start=-1",
        "grad-sam?start=-1",
        Relation.EQUAL,
        "attention is at least 0, so that ReLU(A G) = A ReLU(G), and in one block R = I + E",
    ),
    Identity(
        "skip-plus?start=-1",
        "attcat?start=-1",
        Relation.EQUAL,
        "a sum over blocks from the last one on has one term",
    ),
    Identity(
        "rollout?start=-1",
        "raw-attention",
        Relation.SCALE,
        "off the diagonal a row of (A + I) / 2 is A / 2",
    ),
)


def identity_of(one: str, other: str) -> Identity | None:
    """The identity that two explainers stand in, None where none is known.

    Args:
        one: a spec, as ``name?key=value&key=value``.
        other: likewise.
    """
    first, second = parts_of_spec(one), parts_of_spec(other)
    for known in IDENTITIES:
        if _holds(known, first, second) or _holds(known, second, first):
            return known
    return None


def partners_of(spec: str) -> list[str]:
    """Specs of the explainers that are known to be related to this one."""
    name, options = parts_of_spec(spec)
    found = []
    for known in IDENTITIES:
        for side, partner in ((known.one, known.other), (known.other, known.one)):
            rest = _rest(side, name, options)
            if rest is None or (rest and not known.alike):
                continue
            base, own = parts_of_spec(partner)
            found.append(spec_of(base, {**own, **rest}))
    return found


def parts_of_spec(spec: str) -> tuple[str, dict[str, str]]:
    """Name and options of an explainer's spec."""
    match = QUERY.match(spec)
    if match is None:
        return spec, {}
    return match["name"], dict(parse_qsl(match["query"], keep_blank_values=True))


def spec_of(name: str, options: Mapping[str, str]) -> str:
    """An explainer's name with its options, as specs write it."""
    query = "&".join(f"{key}={value}" for key, value in sorted(options.items()))
    return f"{name}?{query}" if query else name


def _holds(
    known: Identity, one: tuple[str, Mapping[str, str]], other: tuple[str, Mapping[str, str]]
) -> bool:
    first, second = _rest(known.one, *one), _rest(known.other, *other)
    if first is None or second is None:
        return False
    return first == second and (known.alike or not first)


def _rest(side: str, name: str, options: Mapping[str, str]) -> dict[str, str] | None:
    """Options beyond those that one side of an identity needs; None where it is another one."""
    base, own = parts_of_spec(side)
    if base != name or any(options.get(key) != value for key, value in own.items()):
        return None
    return {key: value for key, value in options.items() if key not in own}
