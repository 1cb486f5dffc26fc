"""Another dropout for a while, whether a layer does it or a function of attention."""

import pytest
import torch
from transformers import BertConfig, LlamaConfig, ViTConfig
from transformers.models.bert.modeling_bert import BertModel
from transformers.models.llama.modeling_llama import LlamaModel
from transformers.models.vit.modeling_vit import ViTModel

from nlpcompress.training.dropout import other_dropout

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}
MODELS = {
    "bert": lambda: (BertModel(BertConfig(vocab_size=20, **SMALL)), torch.ones(2, 4).long()),
    "llama": lambda: (
        LlamaModel(LlamaConfig(vocab_size=20, attention_dropout=0.3, **SMALL)),
        torch.ones(2, 4).long(),
    ),
    "vit": lambda: (
        ViTModel(ViTConfig(image_size=8, patch_size=4, attention_probs_dropout_prob=0.3, **SMALL)),
        torch.randn(2, 3, 8, 8),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_without_dropout_two_passes_are_one_and_afterwards_they_are_not(name):
    torch.manual_seed(0)
    model, inputs = MODELS[name]()
    model.train()

    def passes():
        return [model(inputs).last_hidden_state for _ in range(2)]

    assert not torch.equal(*passes())
    with pytest.raises(ZeroDivisionError), other_dropout(model, 0.0):
        assert torch.equal(*passes())
        _ = 1 / 0
    assert not torch.equal(*passes())


def test_more_dropout_is_as_much_as_asked_for():
    model = torch.nn.Sequential(torch.nn.Dropout(0.1)).train()
    with other_dropout(model, 0.7):
        share = (model(torch.ones(10_000)) == 0).float().mean().item()
    assert share == pytest.approx(0.7, abs=0.02)
    assert model[0].p == 0.1
