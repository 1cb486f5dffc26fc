import math

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch.utils.data import default_collate

from nlpcompress.bench.spectra import (
    POINTS,
    density_line,
    draw_sensitivities,
    draw_spectra,
    save_png,
)
from nlpcompress.errors import DataError
from nlpcompress.scoring.hessian import BlockHessians, blocks_of, spectral_nodes
from tests.unit.training.training_tiny import Examples, tiny_bert

VALUES = {"layers.0": (3.0, 5.0, 10.0), "layers.1": (-1.0, 2.0), "layers.2": (0.5, 0.5)}
NODES = {"layers.0": ([0.0, 10.0], [0.75, 0.25]), "layers.1": ([-2.0, 1.0], [0.5, 0.5])}


def read(path):
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    return imread(path)


def test_each_run_is_a_point_and_each_block_has_its_mean():
    (axes,) = draw_sensitivities(VALUES, label="trace by size").axes
    points = {(x, y) for line in axes.lines[:3] for x, y in line.get_xydata()}
    assert points == {(0, 3), (0, 5), (0, 10), (1, -1), (1, 2), (2, 0.5)}
    assert axes.lines[3].get_xydata().tolist() == [[0, 6], [1, 0.5], [2, 0.5]]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(VALUES)
    assert axes.get_title(loc="left") == "trace by size, by block"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["3 runs", "mean"]


def test_a_density_has_area_one_and_its_mass_where_the_eigenvalues_lie():
    line, density = density_line([0.0, 10.0], [0.75, 0.25])
    step = line[1] - line[0]
    assert len(line) == len(density) == POINTS
    assert density.sum() * step == pytest.approx(1, abs=1e-3)
    assert density[line < 5].sum() * step == pytest.approx(0.75, abs=1e-3)
    assert abs(line[density.argmax()]) < 0.1
    assert (line * density).sum() * step == pytest.approx(2.5, abs=1e-2)


def test_one_eigenvalue_alone_can_be_drawn():
    for value in (0.0, -3.0):
        line, density = density_line([value], [1.0])
        assert abs(line[density.argmax()] - value) < 0.1 and np.isfinite(density).all()


def test_each_block_has_a_panel_with_its_density():
    first, second = draw_spectra(NODES).axes
    titles = [axes.get_title(loc="left") for axes in (first, second)]
    assert titles == [f"{block}: density of eigenvalues" for block in NODES]
    for axes, (values, shares) in zip((first, second), NODES.values(), strict=True):
        line, density = density_line(values, shares)
        np.testing.assert_array_equal(axes.lines[0].get_xydata(), np.stack([line, density], 1))
        assert axes.get_yscale() == "log"
        assert axes.get_ylim()[0] < density.max() < axes.get_ylim()[1] < 10 * density.max()
    *_, last = draw_spectra(NODES | {"layers.2": NODES["layers.0"]}).axes
    assert not last.axison


def test_one_eigenvalue_of_a_hundred_million_is_seen():
    (axes, *_) = draw_spectra({"layers.0": ([0.0, 100.0], [1 - 1e-8, 1e-8])}).axes
    line, density = axes.lines[0].get_xydata().T
    assert density[line > 50].max() > axes.get_ylim()[0]


@pytest.mark.parametrize("draw", [lambda: draw_sensitivities(VALUES), lambda: draw_spectra(NODES)])
def test_a_png_is_written_whole_and_has_the_colours_of_what_is_drawn(tmp_path, draw):
    path = tmp_path / "new" / "picture.png"
    save_png(draw(), path, dots_per_inch=100)
    image = read(path)
    assert image.shape[1] == 900 and image.shape[0] >= 200
    blue = (image[..., 2] > image[..., 0] + 0.2).mean()
    assert 1e-4 < blue < 0.5
    assert list(path.parent.iterdir()) == [path]
    before = path.read_bytes()
    save_png(draw(), path, dots_per_inch=100)
    assert path.read_bytes() == before


def test_what_a_model_s_hessian_gives_is_drawn(tmp_path):
    model = tiny_bert()
    batch = default_collate([Examples()[i] for i in range(4)])
    hessians = BlockHessians(model, blocks_of(model, "layers"), [batch])
    with hessians.opened():
        nodes = spectral_nodes(hessians, steps=6)
    figure = draw_spectra(nodes)
    save_png(figure, tmp_path / "spectra.png")
    assert read(tmp_path / "spectra.png").shape[1] == 1350
    values, _ = nodes["layers.0"]
    line = figure.axes[0].lines[0].get_xdata()
    assert line[0] < float(values.min()) and float(values.max()) < line[-1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no blocks"),
        ({"layers.0": ()}, "'layers.0' has no values"),
        ({"layers.0": (1.0, math.nan)}, "'layers.0' has the value nan; only finite"),
    ],
)
def test_what_cannot_be_drawn_is_told(values, message):
    with pytest.raises(DataError, match=message):
        draw_sensitivities(values)
    with pytest.raises(DataError, match=message):
        draw_spectra({block: (torch.tensor(own), own) for block, own in values.items()})
