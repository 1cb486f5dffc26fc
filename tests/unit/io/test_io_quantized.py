"""Quantized weights are saved as packed codes, and reload so, to the last bit."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from nlpcompress.axes import find_axes
from nlpcompress.io import save_model
from nlpcompress.io.card import folder_card
from nlpcompress.io.hub import push
from nlpcompress.models.quantized import schemes
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_layers import deep_bert
from tests.unit.surgery.test_surgery_low_rank import low_rank, masked_lm
from tests.unit.surgery.test_surgery_quantize import (
    OUTPUT,
    TABLE,
    quantize,
    quantize_all,
)

QUERY = "bert.encoder.layer.1.attention.self.query"
PLANS = {
    "one of each": [quantize(OUTPUT, 3), quantize(TABLE, 8, sym=True)],
    "groups": [quantize(OUTPUT, 2, group_size=16, group_rows=4, range="mse")],
    "rounded inputs": [quantize(OUTPUT, 4, input_bits=8), quantize(QUERY, 8, input_bits=4)],
    "shared": [{"op": "share_layers", "layers": [0, 1, 2, 3]}, quantize(OUTPUT)],
    "factored": [
        *low_rank(f"{OUTPUT}.weight", 8),
        quantize(f"{OUTPUT}.first"),
        quantize(f"{OUTPUT}.second", 2),
    ],
    "cut": [
        {"op": "keep", "axis": "layers.1.heads", "indices": [1, 2]},
        {"op": "keep", "axis": "layers.1.neurons", "indices": [3, 5, 40]},
        quantize(QUERY, 4),
        quantize(QUERY.replace("query", "key"), 8),
        {"op": "keep_layers", "layers": [1, 2]},
    ],
    "factored and cut": [
        {"op": "keep", "axis": "layers.1.heads", "indices": [1, 2]},
        *low_rank(f"{QUERY}.weight", 3),
        quantize(f"{QUERY}.second", 4),
    ],
}


def logits(model, inputs):
    with torch.no_grad():
        return model(**inputs)[0]


def tensors_of(folder):
    """But for stand-ins, which are empty."""
    with safe_open(folder / "model.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return {name: tensor for name, tensor in tensors.items() if tensor.numel()}


@pytest.mark.parametrize("options", [{}, {"device_map": "cpu"}])
@pytest.mark.parametrize("name", PLANS)
def test_each_plan_reloads_packed_and_exactly(name, options, tmp_path):
    model, inputs = deep_bert()
    apply_plan(model, PLANS[name], inputs)
    folder = save_model(model, tmp_path / "model")
    again, info = AutoModelForSequenceClassification.from_pretrained(
        folder, output_loading_info=True, **options
    )
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert torch.equal(logits(again, inputs), logits(model, inputs))
    assert schemes(again) == schemes(model)
    again.save_pretrained(tmp_path / "twice")
    assert tensors_of(tmp_path / "twice").keys() == tensors_of(folder).keys()


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_reloads_and_its_file_is_as_small_as_its_codes(family, tmp_path):
    model, inputs = FAMILIES[family]()
    apply_plan(model, quantize_all(model), inputs)
    folder = save_model(model, tmp_path / "model")
    again = type(model).from_pretrained(folder)
    assert torch.equal(logits(again, inputs), logits(model, inputs))
    codes = {
        id(module.weight): -(-module.scheme.rows * module.scheme.columns * module.scheme.bits // 8)
        for module in map(model.get_submodule, schemes(model))
    }
    sizes = [len(t) for t in tensors_of(folder).values() if t.dtype == torch.int8 and t.dim() == 1]
    zeros = [
        -(-module.weight_scale.numel() * module.scheme.bits // 8)
        for module in {id(m.weight): m for m in map(model.get_submodule, schemes(model))}.values()
    ]
    assert sorted(sizes) == sorted([*codes.values(), *zeros])


def test_grouped_convolutions_that_were_cut_reload(tmp_path):
    model, inputs = FAMILIES["regnet"]()
    groups = next(axis for axis in find_axes(model, inputs).free() if axis.kind == "groups")
    keep = {"op": "keep", "axis": groups.name, "indices": list(range(groups.size // 2))}
    apply_plan(model, [keep], inputs)
    apply_plan(model, quantize_all(model), inputs)
    again = type(model).from_pretrained(save_model(model, tmp_path / "model"))
    assert torch.equal(logits(again, inputs), logits(model, inputs))


def test_a_tied_table_is_stored_once_and_opens_as_the_bare_model_too(tmp_path):
    model, inputs = masked_lm()
    apply_plan(model, [quantize(TABLE)], inputs)
    folder = save_model(model, tmp_path / "model")
    assert not [name for name in tensors_of(folder) if "decoder.weight" in name]
    again = AutoModelForMaskedLM.from_pretrained(folder)
    assert torch.equal(logits(again, inputs), logits(model, inputs))
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight
    bare = AutoModel.from_pretrained(folder)
    assert torch.equal(logits(bare, inputs), logits(model.bert, inputs))


def test_it_is_written_in_the_fields_words(tmp_path):
    model, inputs = deep_bert()
    apply_plan(model, [quantize(OUTPUT, 4, group_size=16)], inputs)
    folder = save_model(model, tmp_path / "model")
    block = json.loads((folder / "config.json").read_text())["quantization_config"]
    expected = {"bits": 4, "group_size": 16, "group_rows": 1, "sym": False}
    expected |= {"rows": 32, "columns": 48}
    assert block["structure"] == {"quantized": {f"{OUTPUT}.weight": expected}}


def test_what_is_loaded_stays_packed_in_memory(tmp_path):
    model, inputs = FAMILIES["bert"]()
    dense = sum(p.numel() * 4 for p in model.parameters())
    apply_plan(model, [*quantize_all(model, sym=True), quantize(TABLE, 4)], inputs)
    again = type(model).from_pretrained(save_model(model, tmp_path / "model"))
    logits(again, inputs)
    held = sum(t.nbytes for t in (*again.parameters(), *again.buffers()))
    assert held < dense / 2


def test_what_a_push_would_send_reloads_and_its_card_tells_the_bits(tmp_path):
    model, inputs = deep_bert()
    apply_plan(model, [quantize(OUTPUT, 3)], inputs)
    sent = push(save_model(model, tmp_path / "model"), "user/tiny", dry_run=tmp_path / "dry")
    again = AutoModelForSequenceClassification.from_pretrained(sent)
    assert torch.equal(logits(again, inputs), logits(model, inputs))
    assert "codes of 3 bits" in folder_card(sent)


CHILD = """
import sys, transformers
transformers.logging.set_verbosity_error()
model = transformers.AutoModelForSequenceClassification.from_pretrained(
    sys.argv[1], trust_remote_code=sys.argv[2] == "trusted")
print(sum(type(m).__name__ == "QuantizedLinear" for m in model.modules()))
"""


@pytest.mark.parametrize("trust", ["trusted", "plain"])
def test_without_us_it_opens_by_its_own_files_or_fails(trust, tmp_path):
    model, inputs = deep_bert()
    apply_plan(model, [quantize(OUTPUT)], inputs)
    folder = save_model(model, tmp_path / "model")
    command = [sys.executable, "-I", "-c", BLOCKED + CHILD, str(folder), trust]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if trust == "trusted":
        assert done.stdout.split()[-1] == "1", done.stderr
    else:
        assert done.returncode != 0 and "size" in done.stderr and "mismatch" in done.stderr


BLOCKED = "import sys; sys.modules['nlpcompress'] = None\n"
