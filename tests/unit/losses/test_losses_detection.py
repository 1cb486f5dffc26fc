"""A detector's outputs: what its teacher saw counts, and one answer for each thing."""

import itertools

import pytest
import torch

from nlpcompress.losses import feature_map_nms, objectness_scaled_loss


def outputs(seed, shape=(2, 3, 4, 4), classes=5):
    generator = torch.Generator().manual_seed(seed)
    objectness = torch.rand(shape, generator=generator, dtype=torch.float64)
    chances = torch.rand(*shape, classes, generator=generator, dtype=torch.float64)
    return objectness, chances, torch.rand(*shape, 4, generator=generator, dtype=torch.float64)


def test_the_sum_over_places():
    own, target = outputs(0), outputs(1)
    total, places = 0.0, list(itertools.product(*(range(size) for size in own[0].shape)))
    for at in places:
        total += float(own[0][at] - target[0][at]) ** 2
        for part in (1, 2):
            difference = own[part][at] - target[part][at]
            total += float(target[0][at]) * sum(float(d) ** 2 for d in difference)
    assert objectness_scaled_loss(*own, *target).item() == pytest.approx(total / len(places))


def test_where_the_teacher_sees_nothing_it_teaches_no_box():
    own, target = outputs(0), outputs(1)
    boxes = own[2].requires_grad_()
    seen = target[0].clone()
    seen[0] = 0
    objectness_scaled_loss(own[0], own[1], boxes, seen, *target[1:]).backward()
    assert boxes.grad[0].abs().sum() == 0 and boxes.grad[1].abs().sum() > 0


def test_one_answer_stays_of_each_class_in_a_window():
    objectness, classes, _ = outputs(2)
    classes = classes.movedim(-1, 2)
    kept = feature_map_nms(objectness, classes, window=3)
    label = classes.argmax(2)
    anchors, cells = range(objectness.shape[1]), range(4)
    for b, a, y, x in itertools.product(range(2), anchors, cells, cells):
        rivals = [
            float(objectness[b, c, v, u])
            for c, v, u in itertools.product(anchors, cells, cells)
            if max(abs(v - y), abs(u - x)) <= 1 and label[b, c, v, u] == label[b, a, y, x]
        ]
        best = float(objectness[b, a, y, x]) == max(rivals)
        assert float(kept[b, a, y, x]) == (float(objectness[b, a, y, x]) if best else 0.0)
    assert 0 < int((kept > 0).sum()) < kept.numel()
