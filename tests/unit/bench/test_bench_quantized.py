"""Quantized models are counted as what they stand for, and weigh what lies in the file."""

import copy
import json

import pytest
import torch

from nlpcompress.bench import Bits, Report, Row, effective_bits, measure, write_report
from nlpcompress.bench.density import density
from nlpcompress.bench.ledger import PARTS, bytes_on_disk, parameter_count, size_ledger
from nlpcompress.bench.ledger import stored_bytes as bytes_held
from nlpcompress.io import save_model
from nlpcompress.io.ledger import table
from nlpcompress.models.dense import put_dense
from nlpcompress.models.quantized import Quantized
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_layers import deep_bert
from tests.unit.surgery.test_surgery_low_rank import masked_lm
from tests.unit.surgery.test_surgery_quantize import OUTPUT, TABLE, quantize, quantize_all

HEAD = "classifier"
COUNTED = ("parameters", "macs", "peak_activations")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_quantized_model_costs_what_the_dense_one_does_but_for_bytes(family):
    model, inputs = FAMILIES[family]()
    before, held = measure(model, inputs), bytes_held(model)
    apply_plan(model, quantize_all(model), inputs)
    after = measure(model, inputs)
    assert {name: after[name] for name in COUNTED} == {name: before[name] for name in COUNTED}
    assert after["size_bytes"] == bytes_held(model) < held


def test_a_quantized_table_is_no_activation_either():
    model, inputs = deep_bert()
    before = measure(model, inputs)
    apply_plan(model, [quantize(TABLE, 3)], inputs)
    after = measure(model, inputs)
    assert {name: after[name] for name in COUNTED} == {name: before[name] for name in COUNTED}


def test_measuring_leaves_the_codes_where_they_are():
    model, inputs = deep_bert()
    apply_plan(model, [quantize(OUTPUT), quantize(TABLE)], inputs)
    modules, state = dict(model.named_modules()), dict(model.state_dict())
    measure(model, inputs)
    assert dict(model.named_modules()) == modules
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("twice", ["a tied table", "shared layers"])
def test_what_is_shared_counts_once(twice):
    model, inputs = masked_lm() if twice == "a tied table" else deep_bert()
    plan = [quantize(TABLE)]
    if twice == "shared layers":
        plan = [{"op": "share_layers", "layers": [0, 1, 2]}, quantize(OUTPUT)]
        apply_plan(model, plan[:1], inputs)
    before = parameter_count(model)
    apply_plan(model, plan[-1:], inputs)
    twin = copy.deepcopy(model)
    put_dense(twin, Quantized.decoded)
    assert parameter_count(model) == parameter_count(twin) == before
    assert density(model) == density(twin)
    (part, bits), (_, whole) = effective_bits(model).items()
    assert part == ("embeddings" if twice == "a tied table" else "encoder") and bits == whole


def test_zeros_are_those_of_the_decoded_weights():
    model, inputs = deep_bert()
    with torch.no_grad():
        for layer in model.bert.encoder.layer:
            layer.output.dense.weight[::2] = 0
        model.bert.embeddings.word_embeddings.weight[:15] = 0
    before = density(model)
    everything = [
        edit for edit in quantize_all(model, sym=False) if "output.dense" in edit["weight"]
    ]
    apply_plan(model, [{**edit, "bits": 8} for edit in everything], inputs)
    apply_plan(model, [quantize(TABLE, 8)], inputs)
    assert before["encoder"] < 0.9
    assert density(model) == pytest.approx(before, abs=2e-3)


def test_bits_are_counted_by_hand():
    model, inputs = deep_bert()
    groups = {"group_size": 16}
    plan = [quantize(OUTPUT, 3, sym=True, **groups), quantize(TABLE, 4, **groups)]
    apply_plan(model, [*plan, quantize(HEAD, 8, sym=True)], inputs)
    body, table_, head = 32 * 48, 60 * 32, 3 * 32
    stored = (body * 3 + body // 16 * 16, table_ * 4 + table_ // 16 * 20, head * 8 + 3 * 16)
    bits = effective_bits(model)
    assert tuple(bits) == ("embeddings", "encoder", "head", "all")
    assert bits["encoder"] == Bits(nominal=3, effective=stored[0] / body)
    assert bits["embeddings"] == Bits(nominal=4, effective=stored[1] / table_)
    assert bits["head"] == Bits(nominal=8, effective=stored[2] / head)
    numbers = body + table_ + head
    assert bits["all"] == Bits(
        nominal=(body * 3 + table_ * 4 + head * 8) / numbers, effective=sum(stored) / numbers
    )
    assert effective_bits(FAMILIES["bert"]()[0]) == {}


@pytest.mark.parametrize("shard", ["5GB", "20KB"])
def test_the_ledger_of_a_quantized_folder_is_its_files(shard, tmp_path):
    model, inputs = deep_bert()
    dense = size_ledger(model)
    apply_plan(model, [*quantize_all(model), quantize(TABLE, 4)], inputs)
    folder = save_model(model, tmp_path / "model", max_shard_size=shard)
    files = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    ledger, held = size_ledger(model, folder), size_ledger(model)
    assert sum(ledger.values()) == files == bytes_on_disk(folder)
    assert measure(model, inputs, folder)["size_bytes"] == files
    assert {part: ledger[part] for part in PARTS} == held
    assert sum(held.values()) == bytes_held(model)
    table_ = 60 * 32
    saved = table_ * 4 - table_ // 2 - 60 * 2 - 60 // 2
    assert held["embeddings"] == dense["embeddings"] - saved
    assert held["head"] == dense["head"]
    assert effective_bits(type(model).from_pretrained(folder)) == effective_bits(model)


def test_a_table_of_any_name_is_embeddings():
    model, inputs = FAMILIES["gpt2"]()
    tokens, places = model.transformer.wte.weight.numel(), model.transformer.wpe.weight.nbytes
    apply_plan(model, [quantize("transformer.wte", 4, sym=True, group_size=16)], inputs)
    assert size_ledger(model)["embeddings"] == tokens // 2 + tokens // 16 * 2 + places
    assert tuple(effective_bits(model)) == ("embeddings", "all")


def rows():
    bits = {"encoder": Bits(nominal=4, effective=4.125), "all": Bits(nominal=4, effective=4.125)}
    return (
        Row(name="teacher", parameters=100, size_bytes=400_000),
        Row(name="small", parameters=100, size_bytes=52_000, bits=bits),
    )


def test_the_pages_tell_bits_where_a_row_has_them(tmp_path):
    write_report(Report(rows=rows()), tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "| model | parameters | bits, quantized | weights, MB |" in text
    assert "| teacher | 100 | none | 0.40 |" in text
    assert "| small | 100 | 4.12 | 0.05 |" in text
    assert "weights 7.69 times smaller" in text
    assert "Bits: what a number of the quantized weights takes" in text
    values = json.loads((tmp_path / "report.json").read_text())
    assert values["rows"][1]["bits"]["all"] == {"nominal": 4.0, "effective": 4.125}
    write_report(Report(rows=rows()[:1]), tmp_path)
    assert "its" not in (tmp_path / "report.md").read_text()


def test_the_table_of_the_card_follows_the_same_rule():
    lines = table([row.to_json() for row in rows()]).splitlines()
    assert lines[0].startswith("| model | parameters | bits, quantized | weights, MB |")
    assert lines[2].startswith("| teacher | 100 | none |")
    assert lines[3].startswith("| small | 100 | 4.12 |")
    assert "bits" not in table([row.to_json() for row in rows()[:1]])
