"""Gatherers go by the limits of the checks that judge what they gather."""

from audit.engine.gathering_limits import gathering_limits
from audit.evidence.plan import GOES_BY
from principles.catalogue import all_checks


def test_reparametrization_goes_by_those_of_p106():
    own = next(c for c in all_checks() if c.id == "P106").thresholds
    names = ("relative_change", "noise_factor")
    assert gathering_limits({})["reparametrization"] == {n: own[n] for n in names}
    given = gathering_limits({"P106": {"relative_change": 0.05}})
    assert given["reparametrization"] == {"relative_change": 0.05, "noise_factor": 10.0}


def test_every_limit_that_a_gatherer_goes_by_is_a_checks():
    found = gathering_limits({})
    assert {k: set(v) for k, v in found.items()} == {
        kind: set(names) for kind, names in GOES_BY.items()
    }
