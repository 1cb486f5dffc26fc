"""Chains of convolutions are saved as they are, and reload so, to the last bit."""

import json

import pytest
import torch

from nlpcompress.export import OnnxModel, check_parity, export_onnx
from nlpcompress.io import save_model
from nlpcompress.models.filters import chains
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_filters import VISION, filters_of, small_edit


def decomposed(family):
    """The first filters by Tucker, the second by CP, the third by SVD."""
    model, inputs = FAMILIES[family]()
    ops = ("tucker_conv", "cp_conv", "svd_conv")
    edits = [
        small_edit(name, module, op)
        for (name, module), op in zip(filters_of(model).items(), ops, strict=False)
    ]
    return apply_plan(model, edits, inputs), inputs, edits


def logits(model, inputs):
    with torch.no_grad():
        return model(**inputs).logits


@pytest.mark.parametrize("options", [{}, {"device_map": "cpu"}])
@pytest.mark.parametrize("family", VISION)
def test_every_family_reloads_exactly(family, options, tmp_path):
    model, inputs, edits = decomposed(family)
    folder = save_model(model, tmp_path / "model")
    again, info = type(model).from_pretrained(folder, output_loading_info=True, **options)
    assert not any(info.values()), "transformers would tell of missing weights"
    assert torch.equal(logits(model, inputs), logits(again.eval(), inputs))
    assert {path: chain.record for path, chain in chains(again).items()} == {
        path: chain.record for path, chain in chains(model).items()
    }
    assert len(chains(again)) == len(edits) > 0
    again.save_pretrained(tmp_path / "again")
    third = type(model).from_pretrained(tmp_path / "again").eval()
    assert torch.equal(logits(model, inputs), logits(third, inputs))


def test_the_record_names_the_filters_and_their_ranks(tmp_path):
    model, _, edits = decomposed("resnet_basic")
    config = json.loads((save_model(model, tmp_path / "m") / "config.json").read_text())
    tucker, cp, svd = edits
    assert config["quantization_config"]["structure"] == {
        "filters": {
            tucker["weight"]: {"tucker": tucker["ranks"]},
            cp["weight"]: {"cp": 1},
            svd["weight"]: {"svd": 1},
        }
    }


def test_cut_decomposed_and_quantized(tmp_path):
    model, inputs, edits = decomposed("resnet_basic")
    core = edits[0]["weight"].replace("weight", "core.weight")
    plan = [
        {"op": "keep", "axis": "stages.1.channels", "indices": [0, 1, 4]},
        {"op": "quantize", "weight": core, "bits": 8},
    ]
    apply_plan(model, plan, inputs)
    again = type(model).from_pretrained(save_model(model, tmp_path / "model")).eval()
    assert torch.equal(logits(model, inputs), logits(again, inputs))


@pytest.mark.parametrize("family", ["resnet_basic", "mobilenet_v2"])
def test_chains_export(family, tmp_path):
    model, inputs, _ = decomposed(family)
    path = export_onnx(model, tmp_path / "model.onnx", inputs)
    assert check_parity(model, OnnxModel(path), [inputs]).relative < 1e-5
