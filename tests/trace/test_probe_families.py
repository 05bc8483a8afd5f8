import pytest
import torch

from audit.trace.probe_families import attends_around, covers, rows_of, surrounds

generator = torch.Generator().manual_seed(0)
PICTURE = torch.randn(400, 3, generator=generator)
OTHER = torch.randn(400, 3, generator=generator)


def _noise(scale):
    return scale * torch.randn(12, 400, 3, generator=generator)


def _paths(end, start):
    alphas = (torch.arange(12) + 0.5) / 12
    return start + alphas[:, None, None] * (end - start)


def _masked(end, fill):
    masks = torch.rand(12, 400, 1, generator=generator).round()
    return masks * end + (1 - masks) * fill


FAMILIES = {
    "path from black": lambda end: _paths(end, torch.zeros(3)),
    "path from another picture": lambda end: _paths(end, OTHER),
    "masks": lambda end: _masked(end, torch.zeros(3)),
    "masks over another picture": lambda end: _masked(end, OTHER),
    "weak noise": lambda end: end + _noise(0.1),
    "noise and path": lambda end: _paths(end, torch.zeros(3)) + _noise(0.02),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_families_surround_their_own_picture_and_no_other(name):
    family = FAMILIES[name](PICTURE)
    assert surrounds(family, PICTURE)
    assert not surrounds(family, PICTURE.roll(7, 0))


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_a_few_draws_of_noise_surround_their_own_picture_and_no_other(count):
    family = PICTURE + _noise(0.1)[:count]
    assert surrounds(family, PICTURE)
    assert not surrounds(family, PICTURE + 0.2 * OTHER)


def test_a_family_around_a_blurred_picture_does_not_surround_the_given_one():
    blurred = (PICTURE + PICTURE.roll(1, 0) + PICTURE.roll(-1, 0)) / 3
    for make in FAMILIES.values():
        assert not surrounds(make(blurred), PICTURE)


@pytest.mark.parametrize("steps", [6, 12, 30])
def test_a_curved_path_leads_to_its_own_end_and_to_no_other(steps):
    """As the states that follow attention on a straight path from zero: a smooth curve."""
    weights = torch.randn(3, 3, generator=generator)
    alphas = ((torch.arange(steps) + 0.5) / steps)[:, None, None]

    def end(picture, alpha=1.0):
        return alpha * picture + torch.tanh(alpha * picture @ weights)

    assert surrounds(end(PICTURE, alphas), end(PICTURE))
    for other in (PICTURE + 0.1 * OTHER, PICTURE.roll(1, 0)):
        assert not surrounds(end(other, alphas), end(PICTURE))


def test_members_that_lack_tokens_hold_the_given_ones():
    kept = [torch.randperm(400, generator=generator)[:200] for _ in range(5)]
    assert rows_of(torch.stack([PICTURE[k] for k in kept]), PICTURE)
    assert not rows_of(torch.stack([OTHER[k] for k in kept]), PICTURE)


def test_the_token_that_is_read_out_must_be_within_reach():
    family = FAMILIES["masks"](PICTURE)
    family[:, 3] = OTHER[3]
    assert surrounds(family, PICTURE)
    assert surrounds(family, PICTURE, pooled=4)
    assert not surrounds(family, PICTURE, pooled=3)


def test_two_pictures_are_no_family():
    assert not surrounds(PICTURE.expand(2, -1, -1), PICTURE)


def test_texts_cover_the_given_one_where_each_token_appears_in_its_place():
    given = torch.arange(1, 7)
    without_one = given * (1 - torch.eye(6, dtype=torch.long))
    assert covers(without_one, given)
    assert not covers(without_one, given + 1)
    assert not covers(without_one[:2], given)


LOGITS = torch.randn(4, 17, generator=generator)
OTHER_LOGITS = torch.randn(4, 17, generator=generator)


def _closed(logits):
    """Every key closed once."""
    return (logits + torch.diag(torch.full((17,), -torch.inf)).unsqueeze(1)).softmax(-1)


def _only_one_open(logits):
    mask = torch.full((17, 1, 17), -torch.inf)
    mask[range(17), 0, range(17)] = 0
    mask[..., 0] = 0
    return (logits + mask).softmax(-1)


def _damped(logits):
    """AtMan: the logit of one key is weakened at a time."""
    return (logits * (1 - 0.7 * torch.eye(17).unsqueeze(1))).softmax(-1)


def _uniform_but_one_head(logits):
    own = torch.eye(4)[:, :, None]
    return own * logits.softmax(-1) + (1 - own) / 17


def _towards_uniform(logits):
    alphas = torch.linspace(0.1, 0.9, 5)[:, None, None]
    return alphas * logits.softmax(-1) + (1 - alphas) / 17


def _noisy(logits):
    return (logits + 0.5 * torch.randn(24, 4, 17, generator=generator)).softmax(-1)


PROBES = [_closed, _only_one_open, _damped, _uniform_but_one_head, _towards_uniform, _noisy]


@pytest.mark.parametrize("probe", PROBES)
def test_probes_of_attention_have_the_models_at_their_heart_and_no_other(probe):
    model = LOGITS.softmax(-1)
    for base in (LOGITS, OTHER_LOGITS, 2 * LOGITS, 0.6 * LOGITS):
        family = probe(base)
        found = attends_around(family, model.expand_as(family))
        assert found == (base is LOGITS), probe.__name__


def test_a_key_that_is_closed_throughout_belongs_to_the_heart():
    logits = LOGITS.clone()
    logits[:, 0] = -torch.inf
    family = _closed(logits)[1:]
    assert not attends_around(family, LOGITS.softmax(-1).expand_as(family))


def test_self_attention_of_three_kinds_is_no_family_around_the_model():
    three = torch.randn(3, 4, 17, generator=generator).softmax(-1)
    assert not attends_around(three, LOGITS.softmax(-1).expand_as(three))
    assert not attends_around(three[:2], three[:2])
