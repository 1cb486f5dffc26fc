"""Two hashes are equal only if all that makes the tensors is."""

import pytest
import torch

from nlpcompress.core.hashing import hash_tensors

A = torch.arange(6.0)


def test_equal_tensors_have_one_hash_wherever_they_lie():
    strided = torch.stack([A, A], dim=1)[:, 0]
    assert not strided.is_contiguous()
    assert hash_tensors({"a": strided}) == hash_tensors({"a": A.clone(), "text": "passed over"})


@pytest.mark.parametrize(
    ("tensors", "start"),
    [
        ({"b": A}, ""),
        ({"a": A.double()}, ""),
        ({"a": A.reshape(2, 3)}, ""),
        ({"a": A + torch.tensor([0, 0, 0, 0, 0, 1e-6])}, ""),
        ({"a": A, "b": A}, ""),
        ({"a": A}, "seed 1"),
        ({}, ""),
    ],
)
def test_whatever_differs_has_another_hash(tensors, start):
    assert hash_tensors(tensors, start) != hash_tensors({"a": A})


def test_scalars_halves_and_nothing_can_be_hashed():
    tensors = {"scalar": torch.tensor(1), "half": A.bfloat16(), "none": torch.empty(0)}
    assert len(hash_tensors(tensors)) == 32
