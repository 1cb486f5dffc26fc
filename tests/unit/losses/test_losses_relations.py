"""Relations between the examples of a batch, against loops over pairs and triples."""

import math
from itertools import combinations, permutations

import pytest
import torch

from nlpcompress.losses import relation_angle, relation_distance


def rows(count, width, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64)


def huber(difference):
    return difference**2 / 2 if abs(difference) < 1 else abs(difference) - 0.5


def distances(points):
    found = [math.dist(a, b) for a, b in combinations(points.tolist(), 2)]
    return [value * len(found) / sum(found) for value in found]


def angles(points):
    found = []
    for a, b, c in permutations(points.tolist(), 3):
        one = [x - y for x, y in zip(a, b, strict=True)]
        two = [x - y for x, y in zip(c, b, strict=True)]
        dot = sum(x * y for x, y in zip(one, two, strict=True))
        found.append(dot / math.hypot(*one) / math.hypot(*two))
    return found


@pytest.mark.parametrize(
    ("loss", "relation"), [(relation_distance, distances), (relation_angle, angles)]
)
def test_of_other_widths(loss, relation):
    own, target = rows(5, 3, 0), 4 * rows(5, 7, 1)
    pairs = list(zip(relation(own), relation(target), strict=True))
    expected = sum(huber(s - t) for s, t in pairs) / len(pairs)
    assert loss(own, target).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [relation_distance, relation_angle])
class TestBoth:
    def test_scale_place_and_turn_of_the_teacher_do_not_count(self, loss):
        own = rows(6, 4, 0)
        turn, _ = torch.linalg.qr(rows(4, 4, 1))
        assert loss(own, 3 * own @ turn + 2).item() == pytest.approx(0, abs=1e-12)

    def test_equal_rows_and_small_batches_have_finite_gradients(self, loss):
        for start in (torch.zeros(4, 3), rows(2, 3, 0).float()[:1], torch.ones(3, 3)):
            own = start.clone().requires_grad_()
            value = loss(own, rows(len(own), 5, 2).float())
            value.backward()
            assert value.isfinite() and own.grad.isfinite().all()

    def test_the_teacher_gets_no_gradient(self, loss):
        own, target = rows(4, 3, 0).requires_grad_(), rows(4, 3, 1).requires_grad_()
        loss(own, target).backward()
        assert own.grad.abs().sum() > 0 and target.grad is None
