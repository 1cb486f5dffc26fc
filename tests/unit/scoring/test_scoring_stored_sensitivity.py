"""Sensitivities are found once, and never for another model, block, batch or way."""

import json
import os
from dataclasses import replace

import pytest
import torch
from torch.utils.data import default_collate

from nlpcompress.scoring.hessian import (
    BlockHessians,
    Runs,
    blocks_of,
    sensitivities,
    stored_sensitivities,
)
from tests import children
from tests.unit.scoring import sensitivity_program
from tests.unit.training.training_tiny import Examples, tiny_bert

pytestmark = pytest.mark.filterwarnings("ignore:the gradient promises")  # of random models
HOW = Runs(2, tolerance=0.1)


@pytest.fixture
def given():
    model = tiny_bert()
    batches = [default_collate([Examples()[4 * run + i] for i in range(4)]) for run in range(3)]
    return {"model": model, "blocks": blocks_of(model, "layers"), "batches": batches, "how": HOW}


@pytest.fixture
def products(monkeypatch):
    """Grows with each Hessian product."""
    taken, plain = [], BlockHessians.times

    def times(self, vectors):
        taken.append(len(vectors))
        return plain(self, vectors)

    monkeypatch.setattr(BlockHessians, "times", times)
    return taken


def found(folder, given):
    return stored_sensitivities(
        folder,
        given["model"],
        given["blocks"],
        lambda run: [given["batches"][run]],
        given["how"],
    )


def test_a_second_look_takes_no_product_and_finds_the_same(tmp_path, given, products):
    first = found(tmp_path / "new" / "folder", given)
    assert products
    products.clear()
    assert found(tmp_path / "new" / "folder", given) == first
    assert not products
    direct = sensitivities(
        given["model"], given["blocks"], lambda run: [given["batches"][run]], HOW
    )
    assert first == direct


def a_weight(given):
    with torch.no_grad():
        given["model"].bert.encoder.layer[0].output.dense.weight[0, 0] += 1e-3


def a_config(given):
    given["model"].config.hidden_act = "relu"


def a_block(given):
    given["blocks"] = dict(list(given["blocks"].items())[:1])


def the_order_of_blocks(given):
    given["blocks"] = dict(list(given["blocks"].items())[::-1])


def a_label(given):
    given["batches"][1] = {**given["batches"][1], "labels": 1 - given["batches"][1]["labels"]}


def the_order_of_runs(given):
    given["batches"] = given["batches"][::-1]


def the_seed(given):
    given["how"] = replace(HOW, seed=1)


def the_kind(given):
    given["how"] = replace(HOW, kind="trace", draws=2)


def the_runs(given):
    given["how"] = replace(HOW, count=3)


def the_tolerance(given):
    given["how"] = replace(HOW, tolerance=0.2)


CHANGES = [a_weight, a_config, a_block, the_order_of_blocks, a_label]
CHANGES += [the_order_of_runs, the_seed, the_kind, the_runs, the_tolerance]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_is_looked_at_anew(tmp_path, given, products, change):
    found(tmp_path, given)
    products.clear()
    change(given)
    found(tmp_path, given)
    assert products and len(list(tmp_path.iterdir())) == 2


def test_the_same_batches_in_other_runs_are_something_else(tmp_path, given, products):
    first, second, third = given["batches"]
    for parts in ([[first, second], [third]], [[first], [second, third]]):
        products.clear()
        args = given["model"], given["blocks"], parts.__getitem__, HOW
        stored_sensitivities(tmp_path, *args)
        assert products


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: text.replace('"format_version": 1', '"format_version": 0'),
        lambda text: json.dumps({"format_version": 1, "values": {"layers.0": [1.0, 2.0]}}),
        lambda text: json.dumps(
            {"format_version": 1, "values": {"layers.0": [1.0], "layers.1": [1.0]}}
        ),
        lambda text: json.dumps(
            {"format_version": 1, "values": {"layers.0": ["1", "2"], "layers.1": [1.0, 2.0]}}
        ),
    ],
)
def test_a_file_that_is_torn_or_not_ours_is_written_anew(tmp_path, given, products, spoil):
    first = found(tmp_path, given)
    (path,) = tmp_path.iterdir()
    whole = path.read_text()
    path.write_text(spoil(whole))
    products.clear()
    assert found(tmp_path, given) == first and products
    assert path.read_text() == whole and list(tmp_path.iterdir()) == [path]


def test_a_file_is_whole_or_not_there(tmp_path, given, monkeypatch):
    def failing(descriptor):
        raise OSError("no room")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="no room"):
        found(tmp_path, given)
    assert not list(tmp_path.iterdir())


def test_one_process_reads_and_writes_for_all(tmp_path):
    for asked in ([[0, 2], [1]], [[], []]):
        folder, read = tmp_path / "cache", []
        done = children.run(sensitivity_program.main, [tmp_path, folder], tmp_path, processes=2)
        assert done.returncode == 0, done.stderr
        for rank in (0, 1):
            read.append(json.loads((tmp_path / f"sensitivities-{rank}.json").read_text()))
        assert [runs for _, runs in read] == asked
        assert read[0][0] == read[1][0] and len(list(folder.iterdir())) == 1
