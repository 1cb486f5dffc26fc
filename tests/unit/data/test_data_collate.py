"""Batches: padded to their own longest text, typed, and nothing but tensors."""

import pickle

import numpy as np
import pytest
import torch
from transformers import ViTImageProcessor

from nlpcompress.data.collate import ImageCollate, TextCollate
from nlpcompress.errors import DataError


@pytest.fixture
def image_processor():
    return ViTImageProcessor(
        size={"height": 4, "width": 4}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )


def rows(tokenizer, *texts, label=1):
    return [{**tokenizer(text), "labels": label, "note": text} for text in texts]


def test_text_is_padded_to_the_longest_of_the_batch(tokenizer):
    batch = TextCollate(tokenizer, torch.int64)(rows(tokenizer, "ice", "sun sun sun"))
    ice, sun = tokenizer.convert_tokens_to_ids(["ice", "sun"])
    assert batch["input_ids"].tolist() == [[2, ice, 3, 0, 0], [2, sun, sun, sun, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert all(isinstance(value, torch.Tensor) for value in batch.values())
    assert "note" not in batch


@pytest.mark.parametrize(("dtype", "label"), [(torch.int64, 1), (torch.float32, 0.25)])
def test_labels_have_the_dtype_of_the_task(tokenizer, dtype, label):
    batch = TextCollate(tokenizer, dtype)(rows(tokenizer, "ice", label=label))
    assert batch["labels"].dtype == dtype
    assert batch["labels"].tolist() == [label]


def test_rows_without_labels_collate_too(tokenizer):
    batch = TextCollate(tokenizer, torch.int64)([dict(tokenizer("ice"))])
    assert set(batch) == set(tokenizer.model_input_names)


def test_pixels_without_a_processor_are_scaled():
    picture = np.array([[0, 255], [51, 102]], dtype=np.uint8)
    batch = ImageCollate(None)([{"pixel_values": picture, "labels": 3}])
    assert batch["pixel_values"].shape == (1, 1, 2, 2)
    assert torch.allclose(batch["pixel_values"][0, 0], torch.tensor([[0.0, 1.0], [0.2, 0.4]]))
    assert batch["labels"].dtype == torch.int64


def test_a_processor_resizes_normalises_and_gets_grey_in_three_channels(image_processor):
    grey, colour = np.full((8, 8), 255, np.uint8), np.zeros((6, 5, 3), np.uint8)
    batch = ImageCollate(image_processor)(
        [{"pixel_values": p, "labels": 0} for p in (grey, colour)]
    )
    assert batch["pixel_values"].shape == (2, 3, 4, 4)
    assert torch.allclose(batch["pixel_values"][0], torch.ones(3, 4, 4))
    assert torch.allclose(batch["pixel_values"][1], -torch.ones(3, 4, 4))


def test_pictures_that_do_not_fit_are_refused(image_processor):
    small, large = (np.zeros((n, n), np.uint8) for n in (2, 3))
    with pytest.raises(DataError, match="several sizes"):
        ImageCollate(None)([{"pixel_values": small}, {"pixel_values": large}])
    with pytest.raises(DataError, match="4 channels, the image processor takes 3"):
        ImageCollate(image_processor)([{"pixel_values": np.zeros((2, 2, 4), np.uint8)}])


def test_collates_can_be_sent_to_workers(tokenizer, image_processor):
    for collate in (TextCollate(tokenizer, torch.int64), ImageCollate(image_processor)):
        assert type(pickle.loads(pickle.dumps(collate))) is type(collate)
