"""Lan et al. 2020 (ALBERT), table 4: parameters of BERT-base shared and factored, in millions.

Counted here with the edits' modules on the meta device: 12 layers of width 768, 30,000 tokens. The
published rows that share count the pooler; the two rows that share nothing do not (89 and 108: with
the pooler they are 90.0 and 109.1, and no one rounding gives all eight numbers).
"""

import pytest
import torch
from transformers import BertConfig, BertModel

from nlpcompress.models.factors import put_empty_factors
from nlpcompress.models.layer_parts import parameters_of
from nlpcompress.models.ties import tie

PUBLISHED = {
    ("all", 128): 12,
    ("attention", 128): 64,
    ("ffn", 128): 38,
    ("none", 128): 89,
    ("all", 768): 31,
    ("attention", 768): 83,
    ("ffn", 768): 57,
    ("none", 768): 108,
}


@pytest.mark.parametrize(("share", "size"), PUBLISHED)
def test_millions_of_parameters(share, size):
    with torch.device("meta"):
        model = BertModel(BertConfig(vocab_size=30_000), add_pooling_layer=share != "none")
    if share != "none":
        names = parameters_of(model.encoder.layer[0], share)
        first, *others = (f"encoder.layer.{i}" for i in range(12))
        tie(model, {f"{path}.{name}": f"{first}.{name}" for path in others for name in names})
    if size < 768:
        put_empty_factors(model, "embeddings.word_embeddings", size)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert round(count / 1e6) == PUBLISHED[share, size]
