"""Losses for the outputs of one-stage detectors, which answer at every place of a grid."""

import torch
import torch.nn.functional as F
from torch import Tensor


def objectness_scaled_loss(
    student_objectness: Tensor,
    student_classes: Tensor,
    student_boxes: Tensor,
    teacher_objectness: Tensor,
    teacher_classes: Tensor,
    teacher_boxes: Tensor,
) -> Tensor:
    """What a teacher's detections add to the loss of a student, a scalar.

    Objectness is `(…,)`, as chances in [0, 1]; classes are chances `(…, C)`; boxes are `(…, 4)`.
    Squared differences: of the objectness as it is, of classes and boxes times the teacher's
    objectness, so that the many places where it sees nothing teach no box. Summed over a place's
    numbers and averaged over the places.

    Source: Mehta and Ozturk 2018, equations 2 to 4, with the losses of its YOLO (squares).
    """
    seen = teacher_objectness.detach()
    objectness = (student_objectness - seen).square()
    classes = (student_classes - teacher_classes.detach()).square().sum(-1)
    boxes = (student_boxes - teacher_boxes.detach()).square().sum(-1)
    return (objectness + seen * (classes + boxes)).mean()


def feature_map_nms(objectness: Tensor, classes: Tensor, *, window: int = 3) -> Tensor:
    """Objectness `(B, A, H, W)` of the best answers in their surroundings; 0 for all others.

    `classes` are chances `(B, A, C, H, W)`. Of answers, over all A anchors, that are for the same
    class and lie within `window × window` cells of each other only the one with the largest
    objectness keeps it. Equal ones all stay. To be used on a teacher's output before
    `objectness_scaled_loss`. `window` is odd.

    Source: Mehta and Ozturk 2018, section 3.3 (FM-NMS).
    """
    number = classes.shape[2]
    best = F.one_hot(classes.argmax(2), number).movedim(-1, 2)  # (B, A, C, H, W)
    scored = objectness[:, :, None] * best
    strongest = scored.amax(1)  # (B, C, H, W)
    around = F.max_pool2d(strongest, window, stride=1, padding=window // 2)
    wins = (scored == around[:, None]) & best.bool()
    return torch.where(wins.any(2), objectness, torch.zeros_like(objectness))
