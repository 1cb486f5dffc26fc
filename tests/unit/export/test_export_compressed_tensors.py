"""Folders in compressed-tensors' format: by hand, and as transformers opens them without us."""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nlpcompress.cli.main import main
from nlpcompress.errors import FormatError
from nlpcompress.export import export_compressed_tensors
from nlpcompress.io import load_model_folder, save_model
from nlpcompress.models.quantized import schemes
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_layers import deep_bert
from tests.unit.surgery.test_surgery_low_rank import low_rank, masked_lm
from tests.unit.surgery.test_surgery_quantize import OUTPUT, TABLE, quantize, quantize_all

SYM = {"sym": True}
CUT = {"op": "keep", "axis": "layers.1.heads", "indices": [1, 2]}
CASES = {
    "mixed bits": lambda model: quantize_all(model, sym=True),
    "tiles": lambda model: [quantize(OUTPUT, 3, group_size=24, group_rows=4, sym=True)],
    "a table": lambda model: [quantize(TABLE), quantize(OUTPUT, sym=True)],
    "fewer layers": lambda model: [
        *quantize_all(model, sym=True),
        {"op": "keep_layers", "layers": [0, 2]},
    ],
}


def quantized(case):
    model, inputs = deep_bert()
    apply_plan(model, CASES[case](model), inputs)
    return model, inputs


def logits(model, inputs):
    with torch.no_grad():
        return model(**inputs)[0]


def by_hand(tensors, name, bits, group_size):
    """The matrix that the format's words say."""
    rows, columns = tensors[f"{name}.weight_shape"].tolist()
    words = tensors[f"{name}.weight_packed"].numpy().view(np.uint8)
    stream = np.unpackbits(words, axis=1, bitorder="little")[:, : columns * bits]
    codes = (stream.reshape(rows, columns, bits) << np.arange(bits)).sum(-1) - 2 ** (bits - 1)
    scales = tensors[f"{name}.weight_scale"].repeat_interleave(group_size, 1)
    return torch.tensor(codes) * scales


@pytest.mark.parametrize("case", CASES)
def test_the_words_say_the_numbers_that_were_decoded(case, tmp_path):
    model, _ = quantized(case)
    folder = export_compressed_tensors(model, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    found = {path: s for path, s in schemes(model).items() if path != TABLE}
    for path, scheme in found.items():
        decoded = model.get_submodule(path).decoded()
        assert torch.equal(by_hand(tensors, path, scheme.bits, scheme.group_size), decoded)
        assert f"{path}.weight" not in tensors and f"{path}.bias" in tensors
    if case == "a table":
        assert torch.equal(tensors[f"{TABLE}.weight"], model.get_submodule(TABLE).decoded())
    block = json.loads((folder / "config.json").read_text())["quantization_config"]
    said = {
        target: (group["weights"]["num_bits"], group["weights"]["group_size"])
        for group in block["config_groups"].values()
        for target in group["targets"]
    }
    assert said == {path: (scheme.bits, scheme.group_size) for path, scheme in found.items()}
    assert list(tmp_path.iterdir()) == [folder]


def test_a_tied_table_stays_tied_and_the_model_is_left_alone(tmp_path):
    model, inputs = masked_lm()
    apply_plan(model, [quantize(TABLE), quantize(OUTPUT, sym=True)], inputs)
    before = logits(model, inputs)
    folder = export_compressed_tensors(model, tmp_path / "model")
    assert not [n for n in load_file(folder / "model.safetensors") if "decoder.weight" in n]
    config = json.loads((folder / "config.json").read_text())
    assert config.get("tie_word_embeddings", True) is True
    assert model.config.tie_word_embeddings is False and TABLE in schemes(model)
    assert torch.equal(logits(model, inputs), before)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ([quantize(OUTPUT)], f"'{OUTPUT}.weight' has zero points, .* sym: true"),
        ([quantize(OUTPUT, input_bits=8, **SYM)], "are rounded, .* without input_bits"),
        ([quantize(TABLE, **SYM)], "no linear layer is quantized"),
        ([], "no linear layer is quantized"),
        ([CUT, quantize(OUTPUT, **SYM)], "cannot say this model's shapes, heads; .* save_model"),
        ([*low_rank(f"{OUTPUT}.weight", 8), quantize(f"{OUTPUT}.first", **SYM)], "factors"),
        ([{"op": "share_layers", "layers": [0, 1]}, quantize(OUTPUT, **SYM)], "shared"),
    ],
)
def test_what_the_format_cannot_say_is_refused(plan, message, tmp_path):
    model, inputs = deep_bert()
    apply_plan(model, plan, inputs)
    with pytest.raises(FormatError, match=message):
        export_compressed_tensors(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_conv1d_is_refused(tmp_path):
    model, inputs = FAMILIES["gpt2"]()
    apply_plan(model, quantize_all(model, sym=True), inputs)
    with pytest.raises(FormatError, match="is a Conv1D"):
        export_compressed_tensors(model, tmp_path / "model")


def test_no_folder_is_written_over(tmp_path):
    model, _ = quantized("a table")
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(FormatError, match="is there already"):
        export_compressed_tensors(model, tmp_path)
    assert (tmp_path / "mine").read_text() == "kept"


def test_the_verb_writes_it_beside_the_model(tmp_path, capsys):
    folder = save_model(quantized("mixed bits")[0], tmp_path / "model")
    (folder / "vocab.txt").write_text("word")
    assert main(["export", str(folder), "--format", "compressed-tensors"]) == 0
    printed = capsys.readouterr().out
    out = folder / "compressed-tensors"
    names = {"config.json", "model.safetensors", "vocab.txt"}
    assert {path.name for path in out.iterdir()} >= names
    assert all(name in printed for name in names)
    assert "auto_map" not in json.loads((out / "config.json").read_text())
    assert schemes(load_model_folder(folder))
    assert main(["export", "--format", "compressed-tensors", str(folder), "seed=1"]) != 0
    assert "takes no --quantize and no overrides" in capsys.readouterr().err


CHILD = """
import sys
sys.modules["nlpcompress"] = None
import torch, transformers
transformers.logging.set_verbosity_error()
folder, name = sys.argv[1:]
model, info = getattr(transformers, name).from_pretrained(
    folder, dtype=torch.float32, output_loading_info=True)
assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
inputs, expected = torch.load(f"{folder}/expected.pt")
with torch.no_grad():
    print(float((model(**inputs)[0] - expected).abs().max()))
"""


@pytest.mark.skipif(find_spec("compressed_tensors") is None, reason="needs compressed-tensors")
@pytest.mark.parametrize("case", [*CASES, "a tied table"])
def test_transformers_alone_opens_it(case, tmp_path):
    if case == "a tied table":
        model, inputs = masked_lm()
        apply_plan(model, [quantize(TABLE), quantize(OUTPUT, sym=True)], inputs)
    else:
        model, inputs = quantized(case)
    folder = export_compressed_tensors(model, tmp_path / "model")
    torch.save((dict(inputs), logits(model, inputs)), folder / "expected.pt")
    command = [sys.executable, "-I", "-c", CHILD, str(folder), type(model).__name__]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1e-6
