"""Small models with a loss, and axes written by hand, for tests of scores."""

from types import SimpleNamespace

import torch
from torch import nn

from nlpcompress.axes.axis import Axis, Slice, Tap


def axis(name, size, taps=(), slices=(), kind="neurons"):
    return Axis(name, kind, size, None, tuple(slices), tuple(taps))


class Gated(nn.Module):
    """`y = w · x` with the loss `mean(label · y)`: ∂L_x/∂ξ_h = label · w_h · x_h, exactly."""

    def __init__(self, weights):
        super().__init__()
        self.out = nn.Linear(len(weights), 1, bias=False)
        self.out.weight.data = torch.tensor([weights])

    def forward(self, x, labels):
        return SimpleNamespace(loss=(self.out(x)[:, 0] * labels).mean())


GATED = axis("neurons", 2, [Tap("out", 1, 1, 1)])


def heads_of_bert(model):
    """One `heads` axis a layer, gated at the attention's output projection."""
    config = model.config
    size = config.hidden_size // config.num_attention_heads
    return [
        axis(
            f"layers.{i}.heads",
            config.num_attention_heads,
            [Tap(f"bert.encoder.layer.{i}.attention.output.dense", 2, 1, size)],
            [Slice(f"bert.encoder.layer.{i}.attention.output.dense.weight", 1, 1, size)],
            kind="heads",
        )
        for i in range(config.num_hidden_layers)
    ]


def neurons_of_bert(model):
    """One `neurons` axis a layer, gated at the second linear of the feed-forward network."""
    size = model.config.intermediate_size
    return [
        axis(f"layers.{i}.neurons", size, [Tap(f"bert.encoder.layer.{i}.output.dense", -1, 1, 1)])
        for i in range(model.config.num_hidden_layers)
    ]
