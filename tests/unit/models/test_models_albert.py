"""A BERT, as it is or with layers that share, is a stock ALBERT to the last bit."""

import pytest
import torch
import transformers
from transformers import AutoModelForSequenceClassification, BertConfig

from nlpcompress.errors import PlanError
from nlpcompress.models.albert import HEADS, as_albert
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES, randomise


def bert(head="ForSequenceClassification", **config):
    shape = {
        "vocab_size": 50,
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 32,
    }
    model = getattr(transformers, f"Bert{head}")(BertConfig(**{**shape, **config}))
    return randomise(model).eval()


def shared(model, *groups, part="all"):
    plan = [{"op": "share_layers", "layers": list(group), "part": part} for group in groups]
    return apply_plan(model, plan)


def inputs(head="ForSequenceClassification"):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 50, (4, 7), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids % 2}
    many = head == "ForMultipleChoice"
    return {name: value[None] if many else value for name, value in batch.items()}


def outputs(model, head="ForSequenceClassification"):
    with torch.no_grad():
        return [t for t in model(**inputs(head)).values() if isinstance(t, torch.Tensor)]


@pytest.mark.parametrize("head", HEADS)
def test_every_head_computes_the_same(head):
    model = bert(head, hidden_act="relu", layer_norm_eps=1e-7)
    albert = as_albert(model)
    assert type(albert).__name__ == f"Albert{head}"
    for one, two in zip(outputs(model, head), outputs(albert, head), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("groups", [[(0, 1, 2, 3)], [(0, 1), (2, 3)]])
def test_layers_that_share_are_its_groups(groups, tmp_path):
    model = shared(bert(num_labels=3), *groups)
    albert = as_albert(model)
    assert albert.config.num_hidden_groups == len(groups)
    albert.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(outputs(again)[0], outputs(model)[0])
    width = model.config.hidden_size
    assert again.num_parameters() == model.num_parameters() + width * width + width


def test_what_the_config_says_is_kept():
    labels = {0: "bad", 1: "fine", 2: "good"}
    model = bert(id2label=labels, label2id={v: k for k, v in labels.items()}, pad_token_id=3)
    model.config.classifier_dropout = 0.25
    config = as_albert(model.train()).config
    assert config.id2label == labels and config.pad_token_id == 3
    assert config.classifier_dropout_prob == 0.25
    assert config.vocab_size == 50 and config.intermediate_size == 48
    assert config.embedding_size == config.hidden_size == 32


def test_the_model_and_the_random_state_stay_as_they_are():
    model = bert().train()
    torch.manual_seed(1)
    first = torch.rand(1)
    torch.manual_seed(1)
    albert = as_albert(model)
    assert torch.equal(torch.rand(1), first)
    assert albert.training
    with torch.no_grad():
        albert.albert.embeddings.word_embeddings.weight.zero_()
    assert model.bert.embeddings.word_embeddings.weight.abs().sum() > 0


def test_a_tied_decoder_stays_tied():
    albert = as_albert(bert("ForMaskedLM"))
    assert albert.get_output_embeddings().weight is albert.get_input_embeddings().weight


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda: shared(bert(), (0, 1, 2, 3), part="ffn"), "share their attention or FFN alone"),
        (lambda: shared(bert(), (0, 3)), r"not \[0, 1, 2, 0\]"),
        (lambda: shared(bert(), (0, 1, 2)), r"groups of layers that follow each other"),
        (
            lambda: apply_plan(bert(), [{"op": "keep", "axis": "layers.0.heads", "indices": [1]}]),
            "layers that were cut",
        ),
        (lambda: FAMILIES["roberta"]()[0], "cannot say RobertaForSequenceClassification"),
        (lambda: bert("ForNextSentencePrediction"), "cannot say BertForNextSentencePrediction"),
        (lambda: bert("Model", is_decoder=True), "no decoder"),
    ],
)
def test_what_it_cannot_say_is_refused(model, said):
    with pytest.raises(PlanError, match=said):
        as_albert(model())
