"""Densities of encoder and model, bytes of files, and when the pages show them."""

import json

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from nlpcompress.bench import Report, Row, measure, write_report
from nlpcompress.bench.density import density
from nlpcompress.bench.ledger import PARTS, bytes_on_disk, size_ledger, stored_bytes
from nlpcompress.errors import FormatError
from nlpcompress.io import save_model
from nlpcompress.io.ledger import table
from nlpcompress.models.weights import body_weights
from tests.families import FAMILIES


def half_zero():
    """A BERT with every second weight of its body at zero, and inputs."""
    model, inputs = FAMILIES["bert"]()
    with torch.no_grad():
        for weight in body_weights(model).values():
            weight.view(-1)[::2] = 0
    return model, inputs


def test_densities_of_a_full_and_a_half_empty_model():
    model, _ = FAMILIES["bert"]()
    assert density(model) == {"encoder": 1.0, "model": 1.0}
    model, _ = half_zero()
    body = sum(weight.numel() for weight in body_weights(model).values())
    whole = sum(parameter.numel() for parameter in model.parameters())
    assert density(model) == {"encoder": 0.5, "model": 1 - body / 2 / whole}


def test_zeros_outside_the_body_count_for_the_model_only():
    model, _ = FAMILIES["bert"]()
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.zero_()
        model.classifier.weight.zero_()
    whole = sum(parameter.numel() for parameter in model.parameters())
    zeros = model.bert.embeddings.word_embeddings.weight.numel() + model.classifier.weight.numel()
    assert density(model) == {"encoder": 1.0, "model": 1 - zeros / whole}


def test_shared_weights_count_once_and_a_model_without_a_body_has_no_encoder():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 2))
    model[1].weight = model[0].weight
    with torch.no_grad():
        model[0].weight.zero_()
        for parameter in model[2].parameters():
            parameter.fill_(1)
    assert density(model)["encoder"] == 8 / (16 + 8)
    assert density(nn.LayerNorm(4)) == {"model": 0.5}


@pytest.mark.parametrize("shard", ["5GB", "20KB"])
@pytest.mark.parametrize("kind", ["dense", "bitmask"])
def test_sizes_are_those_of_the_files(kind, shard, tmp_path):
    model, inputs = half_zero()
    folder = save_model(model, tmp_path / "m", storage=kind, max_shard_size=shard)
    files = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert bytes_on_disk(folder) == measure(model, inputs, folder)["size_bytes"] == files
    ledger = size_ledger(model, folder)
    assert sum(ledger.values()) == files
    dense = size_ledger(model)
    assert [ledger[part] for part in ("embeddings", "head")] == [dense["embeddings"], dense["head"]]
    saved = sum(w.numel() * 4 // 2 - w.numel() // 8 for w in body_weights(model).values())
    assert ledger["encoder"] == dense["encoder"] - (saved if kind == "bitmask" else 0)
    assert 0 < ledger["file headers"] < 20_000
    assert measure(model, inputs)["size_bytes"] == stored_bytes(model)
    assert tuple(dense) == PARTS


def test_a_folder_without_weights_is_named(tmp_path):
    model = BertForSequenceClassification(BertConfig(hidden_size=8, num_attention_heads=2))
    with pytest.raises(FormatError, match=r"there is no .*model\.safetensors"):
        size_ledger(model, tmp_path)


def rows(share):
    dense = {"encoder": 1.0, "model": 1.0}
    thin = {"encoder": share, "model": (1 + share) / 2}
    return (
        Row(name="teacher", parameters=100, size_bytes=400_000, density=dense),
        Row(name="small", parameters=100, size_bytes=100_000, density=thin),
        Row(name="unknown", parameters=100),
    )


def test_the_pages_show_both_densities_where_one_is_below_one(tmp_path):
    write_report(Report(rows=rows(0.15)), tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "| model | parameters | density, encoder | density, model | weights, MB |" in text
    assert "| teacher | 100 | 100.0% | 100.0% | 0.40 |" in text
    assert "| small | 100 | 15.0% | 57.5% | 0.10 |" in text
    assert "| unknown | 100 | not measured | not measured | not measured |" in text
    assert "- small: weights 4.00 times smaller" in text
    assert "Density: the share that is not zero" in text
    page = (tmp_path / "report.html").read_text()
    assert "<th>density, encoder</th>" in page
    assert "<td>15.0%</td>" in page
    values = json.loads((tmp_path / "report.json").read_text())
    assert values["rows"][1]["density"] == {"encoder": 0.15, "model": 0.575}


def test_the_pages_do_not_speak_of_density_where_nothing_is_zero(tmp_path):
    write_report(Report(rows=rows(1.0)), tmp_path)
    for name in ("report.md", "report.html"):
        assert "ensity" not in (tmp_path / name).read_text()
    assert "weights 4.00 times smaller" not in (tmp_path / "report.md").read_text()
    values = json.loads((tmp_path / "report.json").read_text())
    assert values["rows"][0]["density"] == {"encoder": 1.0, "model": 1.0}


def test_the_table_of_the_card_follows_the_same_rule():
    lines = table([row.to_json() for row in rows(0.15)]).splitlines()
    assert "| parameters | density, encoder | density, model | weights, MB |" in lines[0]
    assert "| 100 | 15.0% | 57.5% | 0.10 |" in lines[3]
    assert "| 100 | not measured | not measured |" in lines[4]
    assert "density" not in table([row.to_json() for row in rows(1.0)])
