"""Networks of cells: shapes, the graph by hand, and reload with the auto classes."""

import subprocess
import sys

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForImageClassification

from nlpcompress.models.cells import (
    OPERATIONS,
    Cell,
    CellConfig,
    CellsForImageClassification,
    Edge,
    edges_of,
    kind_of,
    register,
)

ONE = [["sep_conv_3x3"], ["skip_connect"], ["max_pool_3x3"], [], ["dil_conv_5x5"]]


def network(**changes):
    torch.manual_seed(0)
    small = {"num_channels": 1, "channels": 4, "num_cells": 3, "nodes": 2, "num_labels": 5}
    model = CellsForImageClassification(CellConfig(**small | changes))
    with torch.no_grad():
        model.train()(torch.randn(8, 1, 9, 9))  # statistics for the norms
    return model.eval()


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize(("stride", "side"), [(1, 7), (2, 7), (2, 8)])
def test_every_operation_keeps_channels_and_divides_sides(name, stride, side):
    maps = torch.randn(2, 6, side, side)
    expected = (2, 6, -(-side // stride), -(-side // stride))
    assert OPERATIONS[name](6, stride)(maps).shape == expected


def test_a_cell_is_its_graph():
    torch.manual_seed(0)
    cell = Cell(ONE, (6, 8), 4, "normal").eval()
    before_last, last = torch.randn(2, 6, 5, 5), torch.randn(2, 8, 5, 5)
    first, second = cell.before_last(before_last), cell.last(last)
    op = [
        edge.operations[names[0]] if names else None
        for edge, names in zip(cell.edges, ONE, strict=True)
    ]
    node = op[0](first) + op[1](second)
    other = op[2](first) + op[4](node)  # nothing comes from the last cell
    torch.testing.assert_close(cell(before_last, last), torch.cat([node, other], 1))


def test_an_edge_is_the_mean_of_its_operations_or_by_shares():
    torch.manual_seed(0)
    edge, maps = (
        Edge(["skip_connect", "avg_pool_3x3", "none"], 4, 1).eval(),
        torch.randn(2, 4, 6, 6),
    )
    pooled = edge.operations["avg_pool_3x3"](maps)
    torch.testing.assert_close(edge(maps), (maps + pooled) / 3)
    edge.shares = lambda: torch.tensor([0.2, 0.5, 0.3])
    torch.testing.assert_close(edge(maps), 0.2 * maps + 0.5 * pooled)
    edge.kept = ("avg_pool_3x3",)
    torch.testing.assert_close(edge(maps), pooled)
    edge.kept = ()
    assert edge(maps) is None


def test_reductions_lie_at_the_thirds():
    reductions = [i for i in range(6) if kind_of(i, 6) == "reduction"]
    assert reductions == [2, 4]
    model = network()
    assert model.cells(torch.randn(2, 1, 9, 9)).last_hidden_state.shape == (2, 2 * 16, 3, 3)
    assert len(list(edges_of(4))) == 14  # as in the paper


def test_what_no_cell_can_be_is_told():
    with pytest.raises(ValueError, match="normal has 1 edges; a cell of these nodes has 5"):
        CellConfig(nodes=2, normal=[["none"]])
    with pytest.raises(ValueError, match="reduction: no operation conv_7x7; there are none"):
        CellConfig(nodes=1, reduction=[["conv_7x7"], []])


def test_it_reloads_with_the_auto_classes_and_without_us(tmp_path):
    register()
    model, pictures = network(normal=ONE, reduction=ONE), torch.randn(2, 1, 9, 9)
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(pictures).logits
        found = AutoModelForImageClassification.from_pretrained(tmp_path).eval()(pictures).logits
    assert torch.equal(found, expected)
    assert AutoConfig.from_pretrained(tmp_path).normal == ONE
    assert torch.equal(
        AutoModel.from_pretrained(tmp_path).stem[0].weight, model.cells.stem[0].weight
    )
    program = (
        "import sys; sys.modules['nlpcompress'] = None\n"
        "from transformers import AutoModelForImageClassification as Auto\n"
        f"model = Auto.from_pretrained({str(tmp_path)!r}, trust_remote_code=True)\n"
        "print(sum(p.numel() for p in model.parameters()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert int(done.stdout.split()[-1]) == sum(p.numel() for p in model.parameters())
