"""Hidden states, feature maps and attention, against loops over every number."""

import math
from functools import partial

import pytest
import torch

from nlpcompress.losses import (
    attention_kl,
    attention_mse,
    attention_transfer,
    hidden_cosine,
    hidden_mse,
    logits_mse,
    soft_label_loss,
    soft_target_loss,
    value_relation_kl,
)

MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
SEEN = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]


def pair(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    make = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return make[0].requires_grad_(), make[1].requires_grad_()


def softmax(row):
    exps = [math.exp(value) for value in row]
    return [value / sum(exps) for value in exps]


def kl(target, own):
    return sum(t * math.log(t / s) for t, s in zip(target, own, strict=True))


def relation(values, b, i, j, head, size):
    part = slice(head * size, (head + 1) * size)
    return (values[b, i, part] @ values[b, j, part]).item() / math.sqrt(size)


def test_hidden_mse_is_the_mean_over_seen_tokens_and_features():
    own, target = pair(2, 4, 3)
    squares = [(own[b, t, d] - target[b, t, d]).item() ** 2 for b, t in SEEN for d in range(3)]
    loss = hidden_mse(own, target, mask=MASK)
    assert loss.item() == pytest.approx(sum(squares) / len(squares))


def test_hidden_cosine_is_the_mean_angle_of_seen_tokens():
    own, target = pair(2, 4, 3)
    angles = []
    for b, t in SEEN:
        s, g = own[b, t].tolist(), target[b, t].tolist()
        dot = sum(x * y for x, y in zip(s, g, strict=True))
        angles.append(1 - dot / math.hypot(*s) / math.hypot(*g))
    loss = hidden_cosine(own, target, mask=MASK)
    assert loss.item() == pytest.approx(sum(angles) / len(angles))


def test_attention_transfer_compares_normalised_activity():
    own, target = pair(2, 3, 2, 2)
    target = torch.cat([target, 2 * target], 1)  # more channels are no other map
    total = 0.0
    for b in range(2):
        maps = []
        for maps_of in (own, target):
            sums = [maps_of[b, :, y, x].square().sum().item() for y in (0, 1) for x in (0, 1)]
            maps.append([value / math.hypot(*sums) for value in sums])
        total += sum((s - t) ** 2 for s, t in zip(*maps, strict=True))
    assert attention_transfer(own, target).item() == pytest.approx(total / 8)


def test_attention_mse_is_the_mean_over_heads_and_pairs_of_seen_tokens():
    own, target = pair(2, 5, 4, 4)
    squares = [
        (own[b, h, i, j] - target[b, h, i, j]).item() ** 2
        for h in range(5)
        for b, i in SEEN
        for c, j in SEEN
        if b == c
    ]
    loss = attention_mse(own, target, mask=MASK)
    assert loss.item() == pytest.approx(sum(squares) / len(squares))


def test_attention_kl_is_the_mean_divergence_of_seen_queries():
    own, target = pair(2, 3, 4, 4)
    length = {0: 3, 1: 2}
    found = [
        kl(*(softmax(scores[b, h, i, : length[b]].tolist()) for scores in (target, own)))
        for h in range(3)
        for b, i in SEEN
    ]
    loss = attention_kl(own, target, mask=MASK)
    assert loss.item() == pytest.approx(sum(found) / len(found))


@pytest.mark.parametrize("heads", [1, 2])
def test_value_relations_of_other_widths(heads):
    own, target = pair(2, 4, 6)
    own = own[..., :4]
    found = []
    for b, i in SEEN:
        keys = [j for c, j in SEEN if c == b]
        for head in range(heads):
            rows = [
                softmax([relation(v, b, i, j, head, v.shape[-1] // heads) for j in keys])
                for v in (target, own)
            ]
            found.append(kl(*rows))
    loss = value_relation_kl(own, target, mask=MASK, heads=heads)
    assert loss.item() == pytest.approx(sum(found) / len(found))


def test_a_width_that_cannot_be_split_is_refused():
    own, target = pair(2, 4, 6)
    with pytest.raises(ValueError, match=r"width of 6 cannot be split into 4 relation heads"):
        value_relation_kl(own, target, heads=4)


@pytest.mark.parametrize(
    ("loss", "shape"),
    [
        (hidden_mse, (2, 4, 6)),
        (hidden_cosine, (2, 4, 6)),
        (attention_mse, (2, 3, 4, 4)),
        (attention_kl, (2, 3, 4, 4)),
        (value_relation_kl, (2, 4, 6)),
    ],
)
class TestEveryMaskedLoss:
    def test_padding_more_changes_nothing(self, loss, shape):
        own, target = pair(*shape)
        dims = [d for d in range(1, len(shape)) if shape[d] == 4]
        short = loss(own, target, mask=MASK)
        for filling in (0.0, 1e4, float("inf")):
            longer, other = own.detach(), target.detach()
            for dim in dims:
                extra = list(longer.shape)
                extra[dim] = 2
                block = torch.full(extra, filling, dtype=own.dtype)
                longer, other = torch.cat([longer, block], dim), torch.cat([other, block], dim)
            mask = torch.cat([MASK, torch.zeros(2, 2, dtype=MASK.dtype)], 1)
            assert loss(longer, other, mask=mask).item() == pytest.approx(short.item())

    def test_gradients_reach_the_student_alone(self, loss, shape):
        own, target = pair(*shape)
        loss(own, target, mask=MASK).backward()
        assert own.grad.abs().sum() > 0 and target.grad is None

    def test_equal_ones_cost_nothing_and_half_precision_is_computed_in_float32(self, loss, shape):
        own, _ = pair(*shape)
        half = own.detach().half().requires_grad_()
        value = loss(half, half.detach(), mask=MASK)
        assert value.dtype == torch.float32 and value.item() == pytest.approx(0, abs=1e-6)

    def test_nothing_seen_is_0_with_gradients_of_0(self, loss, shape):
        own, target = pair(*shape)
        value = loss(own, target, mask=torch.zeros_like(MASK))
        value.backward()
        assert value.item() == 0 and own.grad.abs().sum() == 0


@pytest.mark.parametrize(
    ("loss", "own", "target"),
    [
        (partial(soft_target_loss, temperature=2.0), (4, 3), (4, 1)),
        (partial(soft_label_loss, temperature=2.0), (4, 3), (1, 3)),
        (logits_mse, (4, 5, 3), (4, 3)),
        (hidden_mse, (2, 5, 8), (2, 5, 1)),
        (hidden_cosine, (2, 5, 8), (2, 1, 8)),
        (attention_transfer, (2, 3, 4, 4), (2, 3, 1, 16)),
        (attention_mse, (2, 4, 5, 5), (2, 1, 5, 5)),
        (attention_kl, (2, 4, 5, 5), (1, 4, 5, 5)),
        (value_relation_kl, (2, 5, 8), (1, 5, 8)),
    ],
)
def test_shapes_that_would_be_broadcast_are_refused(loss, own, target):
    with pytest.raises(ValueError, match=r"the student's .* have the shape .*must be alike"):
        loss(torch.rand(own), torch.rand(target))
