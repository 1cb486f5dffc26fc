"""A model with quantized modules trains: the codes stay, the rest learns through them."""

import pytest
import torch
from training_tiny import Examples, arguments, tiny_bert
from transformers import Trainer

from nlpcompress.io import save_model
from nlpcompress.models.quantized import schemes
from nlpcompress.surgery import apply_plan
from nlpcompress.training import CompressionTrainer
from tests.unit.surgery.test_surgery_quantize import quantize_all


def quantized(folder):
    """As it comes from a folder."""
    model = tiny_bert()
    apply_plan(model, quantize_all(model))
    return type(model).from_pretrained(save_model(model, folder))


@pytest.mark.parametrize("kind", [Trainer, CompressionTrainer])
def test_what_is_dense_learns_and_the_codes_stay(kind, tmp_path):
    model = quantized(tmp_path / "model")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kind(model=model, args=arguments(tmp_path / "run"), train_dataset=Examples()).train()
    after = model.state_dict()
    packed = {f"{path}.weight" for path in schemes(model)}
    assert packed and all(torch.equal(after[name], before[name]) for name in packed)
    table = "bert.embeddings.word_embeddings.weight"
    for name in (table, "bert.encoder.layer.0.output.dense.bias", "classifier.weight"):
        assert not torch.equal(after[name], before[name]), name


def test_the_gradient_of_the_inputs_is_that_of_the_decoded_weight(tmp_path):
    module = quantized(tmp_path / "model").bert.encoder.layer[0].output.dense
    hidden = torch.randn(2, 64, requires_grad=True)
    weights = torch.randn(2, 32)
    (module(hidden) * weights).sum().backward()
    assert torch.allclose(hidden.grad, weights @ module.decoded(), atol=1e-6)
