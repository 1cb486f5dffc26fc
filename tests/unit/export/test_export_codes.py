"""ONNX files that hold a model's own codes: the same numbers, no rounding again."""

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from nlpcompress.errors import PlanError
from nlpcompress.export import OnnxModel, export_onnx
from nlpcompress.export.bits import code_bytes
from nlpcompress.export.nbits import block_of, blocks_of, by_blocks
from nlpcompress.models.codes import unpack_codes
from nlpcompress.models.grid import Scheme
from nlpcompress.models.quantized import Quantized, QuantizedLinear, parts_of
from nlpcompress.models.ranges import fitted_grid
from nlpcompress.surgery import apply_plan
from tests.families import FAMILIES
from tests.unit.surgery.test_surgery_low_rank import masked_lm
from tests.unit.surgery.test_surgery_quantize import OUTPUT, TABLE, quantize, quantize_all

CLOSE = 1e-6
OF_MANY_LAYERS = 1e-5
"""What sums in another order do to random models, as in their files of floats."""


QUERY = "bert.encoder.layer.0.attention.self.query"
"""No input of it lies so near between two whole numbers that another sum would round it away."""


def exported(model, inputs, folder):
    """The file, and the largest difference of ONNX Runtime from torch, relative."""
    path = export_onnx(model, folder / "codes.onnx", inputs, weights="codes")
    with torch.no_grad():
        expected = model(**inputs)["logits"].numpy()
    found = OnnxModel(path).run(inputs)["logits"]
    return path, np.abs(found - expected).max() / np.abs(expected).max()


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


def tensors(path):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


@pytest.mark.parametrize(
    ("family", "sym"),
    [
        ("bert", False),
        ("bert", True),
        ("albert", False),
        ("gpt2", False),
        ("vit", True),
        ("resnet_basic", True),
        ("mobilenet_v2", False),
    ],
)
def test_every_family_computes_what_its_codes_say(family, sym, tmp_path):
    model, inputs = FAMILIES[family]()
    apply_plan(model, quantize_all(model, sym=sym), inputs)
    path, difference = exported(model, inputs, tmp_path)
    assert difference < OF_MANY_LAYERS
    assert any(isinstance(module, Quantized) for module in model.modules())
    kinds = {"MatMulNBits", "DequantizeLinear"} & set(operators(path))
    assert kinds == {"DequantizeLinear" if "net" in family else "MatMulNBits"}


@pytest.mark.parametrize(
    ("bits", "groups"),
    [
        (2, {}),
        (3, {"group_rows": 4}),
        (4, {"group_size": 16}),
        (5, {}),
        (6, {"group_rows": 4, "group_size": 16}),
        (8, {"group_size": 16}),
    ],
)
def test_the_codes_in_the_file_are_the_models_own(bits, groups, tmp_path):
    model, inputs = FAMILIES["bert"]()
    apply_plan(model, [quantize(OUTPUT, bits, **groups)], inputs)
    module = model.get_submodule(OUTPUT)
    rows, columns = module.scheme.rows, module.scheme.columns
    values = torch.randn(3, 5, columns, generator=torch.Generator().manual_seed(0))
    path, difference = exported(Alone(module), {"values": values}, tmp_path)
    assert difference < CLOSE
    container = 2 if bits == 2 else 4 if bits <= 4 else 8
    packed = torch.from_numpy(tensors(path)["layer.codes"].copy())
    codes = unpack_codes(packed.flatten(), container, packed.numel() * 8 // container)
    assert torch.equal(codes.view(rows, -1)[:, :columns], module.codes())
    count, block = packed.shape[1], block_of(module.scheme)
    assert packed.nbytes == rows * count * block * container // 8 and count == -(-columns // block)


class Alone(torch.nn.Module):
    """One layer, whose sums nothing comes after."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, values):
        return {"logits": self.layer(values)}


def test_groups_that_no_block_fits_are_decoded_before(tmp_path):
    model, inputs = FAMILIES["bert"]()
    plan = [quantize(OUTPUT, 4, group_size=12), quantize(TABLE, 4, group_size=8)]
    apply_plan(model, plan, inputs)
    path, difference = exported(model, inputs, tmp_path)
    assert difference < CLOSE
    assert operators(path).count("DequantizeLinear") == 2


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_tables_are_read_as_codes_and_a_tied_decoder_has_the_same(bits, tmp_path):
    model, inputs = masked_lm(vocab_size=1200)
    apply_plan(model, [quantize(TABLE, bits)], inputs)
    path, difference = exported(model, inputs, tmp_path)
    assert difference < CLOSE
    assert {"GatherBlockQuantized", "MatMulNBits"} <= set(operators(path))
    table = model.get_submodule(TABLE)
    rows, columns, *_ = table.scheme
    codes = rows * columns * {2: 2, 3: 4, 8: 8}[bits] // 8
    sizes = {name: value.nbytes for name, value in tensors(path).items() if value.size >= rows}
    assert codes in sizes.values() and 4 * rows * columns not in sizes.values()
    assert code_bytes(path) == codes + rows * 2 + rows


@pytest.mark.parametrize(("bits", "group_rows"), [(4, 4), (8, 1)])
def test_rounded_inputs_are_multiplied_as_whole_numbers(bits, group_rows, tmp_path):
    model, inputs = FAMILIES["bert"]()
    apply_plan(model, [quantize(QUERY, bits, group_rows=group_rows, input_bits=8)], inputs)
    path, difference = exported(model, inputs, tmp_path)
    assert difference < CLOSE
    found = operators(path)
    assert found.count("MatMulInteger") == found.count("DynamicQuantizeLinear") == 1
    codes = tensors(path)[f"{QUERY}.codes"]
    assert codes.dtype == (np.uint8 if bits == 8 else np.int8)


def test_fixed_ranges_of_inputs(tmp_path):
    model, inputs = FAMILIES["bert"]()
    apply_plan(model, [quantize(QUERY, 8, input_bits=8)], inputs)
    module = model.get_submodule(QUERY)
    module.inputs.ends = torch.tensor([-0.7, 1.9]).view(torch.int32)
    path, difference = exported(model, inputs, tmp_path)
    assert difference < CLOSE
    assert "QuantizeLinear" in operators(path) and "DynamicQuantizeLinear" not in operators(path)


def test_scales_take_two_bytes_in_the_file(tmp_path):
    model, inputs = FAMILIES["bert"]()
    apply_plan(model, [quantize(OUTPUT, 4, group_size=16)], inputs)
    path, _ = exported(model, inputs, tmp_path)
    scheme = model.get_submodule(OUTPUT).scheme
    groups = scheme.rows * scheme.columns // 16
    assert tensors(path)[f"{OUTPUT}.scales_half"].dtype == np.float16
    zeros = scheme.rows * -(-scheme.columns // 16 // 2)
    assert code_bytes(path) == scheme.rows * scheme.columns // 2 + 2 * groups + zeros


def test_a_model_without_codes_is_refused(tmp_path):
    model, inputs = FAMILIES["bert"]()
    with pytest.raises(PlanError, match="no quantized weights"):
        export_onnx(model, tmp_path / "model.onnx", inputs, weights="codes")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("columns", "group_size", "bits", "block"),
    [
        (384, 384, 4, 128),  # whole rows: nothing is filled up
        (768, 768, 4, 256),
        (40, 40, 4, 16),  # 48 columns stored, not 64
        (384, 64, 4, 64),
        (384, 96, 4, 32),
        (384, 24, 4, None),
    ],
)
def test_the_block_that_takes_the_fewest_bytes(columns, group_size, bits, block):
    assert block_of(Scheme(8, columns, bits, 1, group_size, False)) == block


@pytest.mark.parametrize("sym", [False, True])
@pytest.mark.parametrize(("bits", "columns", "group_rows"), [(3, 40, 2), (2, 33, 1), (6, 100, 5)])
def test_blocks_say_the_numbers_of_the_grid(bits, columns, group_rows, sym):
    scheme = Scheme(10, columns, bits, group_rows, columns, sym)
    matrix = torch.randn(10, columns, generator=torch.Generator().manual_seed(0))
    grid = fitted_grid(matrix, scheme, "min_max")
    dense = torch.nn.Linear(columns, 10, bias=False)
    module = QuantizedLinear(scheme, parts_of(matrix, scheme, grid), dense)
    blocks = blocks_of(module, block_of(scheme))
    count = blocks.scales.shape[1]
    codes = unpack_codes(blocks.codes.flatten(), blocks.bits, 10 * count * blocks.block)
    if sym:
        zeros = torch.full((10, count), 2 ** (blocks.bits - 1))
    else:
        per_row = blocks.zeros.shape[1] * 8 // blocks.bits
        zeros = unpack_codes(blocks.zeros.flatten(), blocks.bits, 10 * per_row)
        zeros = zeros.view(10, -1)[:, :count]
    values = codes.view(10, count, -1).float() - zeros.unsqueeze(2)
    values = (values * blocks.scales.unsqueeze(2)).flatten(1)[:, :columns]
    assert torch.equal(values, module.decoded())


def test_a_value_a_group_becomes_one_a_block():
    scheme = Scheme(4, 64, 4, 2, 32, False)
    found = by_blocks(torch.tensor([[1, 2], [3, 4]]), scheme, 16)
    assert found.tolist() == [[1, 1, 2, 2]] * 2 + [[3, 3, 4, 4]] * 2
