"""Distilling a detector: the objectness-scaled loss on RT-DETR's dense head, as an own method.

    python scripts/example_detector.py --steps 300

RT-DETR answers at every cell of three grids before its decoder picks the best of them: there the
student learns from the teacher, which is thinned out by feature-map NMS first. The pictures are
made (one bright square each, in one of three colours), the models tiny and new: the example shows
how the parts fit together, and says nothing about quality. Source: Mehta and Ozturk 2018.
"""

import argparse
import tempfile
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers import (
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrResNetConfig,
    TrainingArguments,
    set_seed,
)

from nlpcompress import CompressionTrainer
from nlpcompress.core.config import Config
from nlpcompress.core.method import Context, Method, Objective, Step
from nlpcompress.losses import feature_map_nms, objectness_scaled_loss

SIZE, STRIDES, COLOURS = 64, (8, 16, 32), 3


class DetectorDistillation(Method):
    """Objectness, classes and boxes of all cells, after NMS on the teacher's grids."""

    name: ClassVar[str] = "detector"
    Config: ClassVar[type[Config]] = Config
    needs_teacher: ClassVar[bool] = True

    def objectives(self, ctx: Context) -> tuple[Objective, ...]:
        """`detections`, beside the detector's own loss."""
        return (Objective("detections", 1.0, detection_loss, needs_teacher=True),)


def detection_loss(step: Step) -> Tensor:
    """The mean over the grids of the objectness-scaled loss."""
    losses = []
    for own, theirs in zip(grids(step.outputs), grids(step.teacher_outputs), strict=True):
        best = feature_map_nms(theirs[0], theirs[1])
        places = [(a, c.movedim(2, -1), b.movedim(2, -1)) for a, c, b in (own, (best, *theirs[1:]))]
        losses.append(objectness_scaled_loss(*places[0], *places[1]))
    return torch.stack(losses).mean()


def grids(outputs: Any) -> list[tuple[Tensor, Tensor, Tensor]]:
    """For each stride objectness `(B, 1, H, W)`, classes `(B, 1, C, H, W)` and boxes of 4.

    The head has no objectness of its own: the chance of the likeliest class stands for it.
    """
    sides = [SIZE // stride for stride in STRIDES]
    cells = [side * side for side in sides]
    chances = outputs.enc_outputs_class.sigmoid().split(cells, dim=1)
    boxes = outputs.enc_outputs_coord_logits.sigmoid().split(cells, dim=1)
    found = []
    for side, chance, box in zip(sides, chances, boxes, strict=True):
        classes, corners = (v.transpose(1, 2).unflatten(2, (side, side)) for v in (chance, box))
        found.append((classes.amax(1, keepdim=True), classes[:, None], corners[:, None]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    steps = parser.parse_args().steps
    set_seed(0)
    teacher, student = detector(width=32, depth=2), detector(width=16, depth=1)
    train(teacher, steps, [])
    first, *_, last, _ = train(student, steps, [DetectorDistillation(Config())], teacher)
    for name in ("loss_task", "loss_detections"):
        print(f"{name}: {first[name]:.4f} at first, {last[name]:.4f} at last")


def detector(*, width: int, depth: int) -> RTDetrForObjectDetection:
    """A tiny RT-DETR without pre-trained parts."""
    backbone = RTDetrResNetConfig(
        embedding_size=width,
        hidden_sizes=[width, width, 2 * width, 2 * width],
        depths=[depth] * 4,
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )
    config = RTDetrConfig(
        backbone_config=backbone,
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        encoder_in_channels=[width, 2 * width, 2 * width],
        decoder_in_channels=[32] * 3,
        d_model=32,
        encoder_hidden_dim=32,
        encoder_ffn_dim=64,
        encoder_attention_heads=2,
        decoder_ffn_dim=64,
        decoder_layers=depth,
        decoder_attention_heads=2,
        num_queries=20,
        num_labels=COLOURS,
        num_denoising=0,
    )
    return RTDetrForObjectDetection(config)


def train(
    model: RTDetrForObjectDetection, steps: int, methods: list[Method], teacher: Any = None
) -> list[dict[str, float]]:
    """The lines of the log."""
    with tempfile.TemporaryDirectory() as folder:
        args = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            learning_rate=1e-3,
            per_device_train_batch_size=8,
            logging_steps=max(steps // 5, 1),
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
        )
        trainer = CompressionTrainer(
            model,
            args,
            train_dataset=pictures(256),
            data_collator=collate,
            methods=methods,
            teacher=teacher,
        )
        trainer.train()
    return trainer.state.log_history


def pictures(count: int) -> list[dict[str, Any]]:
    """Grey noise with one bright square each; boxes are centre and size as shares of the side."""
    random, made = np.random.default_rng(0), []
    for number in range(count):
        picture = random.uniform(0, 0.3, (3, SIZE, SIZE)).astype(np.float32)
        side, colour = int(random.integers(12, 28)), number % COLOURS
        top, left = random.integers(0, SIZE - side, 2)
        picture[colour, top : top + side, left : left + side] = 1.0
        box = np.array([left + side / 2, top + side / 2, side, side], np.float32) / SIZE
        made.append({"pixel_values": picture, "colour": colour, "box": box})
    return made


def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
    labels = [
        {"class_labels": torch.tensor([row["colour"]]), "boxes": torch.tensor(row["box"])[None]}
        for row in rows
    ]
    pixels = torch.from_numpy(np.stack([row["pixel_values"] for row in rows]))
    return {"pixel_values": pixels, "labels": labels}


if __name__ == "__main__":
    main()
