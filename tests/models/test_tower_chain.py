"""Towers whose modules give more than a tensor, and towers in which no step is known."""

import torch
from torch import nn

from audit.models.tower_chain import chain_tower


class GivesPair(nn.Module):
    """A layer that gives its result and what a library keeps for other uses: nothing."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x):
        return x + self.second(self.first(x).relu()), None


class Pairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.layers = nn.Linear(6, 4), nn.ModuleList(GivesPair() for _ in range(3))
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = self.embed(x)
        for layer in self.layers:
            x, _ = layer(x)
        return self.head(x)


def built(forward):
    torch.manual_seed(0)
    model, given = Pairs().eval(), torch.randn(1, 6)
    return model, given, chain_tower("image", model, forward, given)


@torch.no_grad()
def test_a_layer_that_gives_a_tuple_is_a_step():
    model, given, tower = built(lambda model, inputs: model(inputs))
    paths = [block.path for block in tower.blocks]
    assert paths == ["embed", "layers.0", "layers.1", "layers.2", "head"]
    x = tower.run(tower.embed(given), 0, 3, given)
    again = tower.run(x, 3, len(tower.blocks), given)
    torch.testing.assert_close(tower.readout(again, given), model(given))


@torch.no_grad()
def test_a_model_that_is_run_for_every_class_has_no_steps_and_is_a_tower_all_the_same():
    def forward(model, inputs):
        return torch.stack([model(inputs * 1.0)[:, i] for i in range(5)], dim=-1)

    model, given, tower = built(forward)
    assert tower.blocks == ()
    torch.testing.assert_close(tower.readout(tower.embed(given), given), model(given))


class MergesRows(nn.Module):
    """A layer that takes the tokens of all pictures as so many rows, as LeViT's norms do."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(x.flatten(0, 1)).view_as(x)


@torch.no_grad()
def test_a_step_keeps_the_rows_of_the_input_apart():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), MergesRows(), nn.Linear(4, 5)).eval()
    given = torch.randn(1, 3, 6)
    tower = chain_tower("image", model, lambda model, inputs: model(inputs).mean(1), given)
    assert [block.path for block in tower.blocks] == ["0", "1", "2"]
    more = torch.randn(2, 3, 6)
    x = tower.run(tower.embed(more), 0, len(tower.blocks), more)
    torch.testing.assert_close(tower.readout(x, more), model(more).mean(1))
