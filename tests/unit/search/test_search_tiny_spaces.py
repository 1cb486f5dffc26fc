"""Costs of inverted residuals as published, and the space that TinyNAS chose."""

import pytest
from scipy.stats import spearmanr

from nlpcompress.core.divisible import divisible
from nlpcompress.errors import ConfigError
from nlpcompress.search.inverted_residuals import Block, Network, cost
from nlpcompress.search.tiny_spaces import Limits, TinySpace, judge_spaces

MOBILENET_V2 = ((6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2))
"""Expansion, channels, blocks and first stride of each stage [Sandler et al. 2018, table 2]."""

PUBLISHED = {
    (0.3, 160): 32.5,
    (0.4, 112): 32.4,
    (0.4, 128): 39.3,
    (0.4, 144): 46.9,
    (0.5, 112): 38.3,
    (0.5, 128): 46.9,
    (0.5, 144): 52.0,
    (0.6, 112): 41.3,
    (0.7, 96): 31.4,
    (0.7, 112): 38.4,
}
"""Mean millions of MACs of networks in 320 kB and 1 MB [Lin et al. 2020, figure 3]."""


def mobilenet_v2(resolution=224, width=1.0):
    blocks = [Block(divisible(32 * width), divisible(32 * width), divisible(16 * width))]
    for expansion, channels, count, stride in (*MOBILENET_V2, (6, 320, 1, 1)):
        for number in range(count):
            given, made = blocks[-1].made, divisible(channels * width)
            blocks.append(Block(given, expansion * given, made, 3, 1 if number else stride))
    return Network(divisible(32 * width), blocks, 1280, 1000, resolution)


def test_mobilenet_v2_costs_what_is_published():
    """3.50 M parameters, 0.301 G MACs, and 1372 kB of activations in 8 bits."""
    found = cost(mobilenet_v2())
    assert found.parameters == 3_504_872
    assert found.macs == 300_774_272
    assert found.peak == 1372 * 1024


def test_peak_memory_falls_with_the_square_of_the_side():
    assert cost(mobilenet_v2(112)).peak * 4 == cost(mobilenet_v2(224)).peak


@pytest.mark.parametrize(("asked", "given"), [(1, 8), (9.6, 16), (12, 16), (20, 24), (96, 96)])
def test_channels_are_multiples_of_eight(asked, given):
    assert divisible(asked) == given


def test_the_space_that_was_chosen_is_chosen():
    limits = Limits(memory=320 * 1024, storage=1024 * 1024)
    judged = judge_spaces(
        [TinySpace(*space) for space in PUBLISHED], limits, classes=1000, count=200
    )
    assert judged[0].space == TinySpace(0.5, 144)
    order = spearmanr([j.mean for j in judged], [PUBLISHED[tuple(j.space)] for j in judged])
    assert order.statistic > 0.65


def test_without_limits_the_largest_is_chosen_and_with_none_met_it_is_said():
    spaces = [TinySpace(0.3, 96), TinySpace(1.0, 224), TinySpace(0.5, 144)]
    free = Limits(memory=10**9, storage=10**9)
    assert judge_spaces(spaces, free, classes=10, count=20)[0].space == TinySpace(1.0, 224)
    with pytest.raises(ConfigError, match="of 3 spaces no network drawn fits in 1 bytes of activ"):
        judge_spaces(spaces, Limits(memory=1, storage=10**9), classes=10, count=1)
