import math

import pytest

from nlpcompress.errors import ConfigError
from nlpcompress.search import effective_bits, megabytes_to_bits


def test_scales_count_in_the_bits_of_a_weight():
    assert effective_bits(4 * 256 + 2 * 16, 256) == 4.125
    with pytest.raises(ConfigError, match="number of weights is 0"):
        effective_bits(100, 0)


def test_a_megabyte_is_a_million_bytes_and_broken_bits_are_dropped():
    assert megabytes_to_bits(53.4) == 427_200_000
    assert megabytes_to_bits(1e-6 / 3) == 2
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match=f"size is {wrong} MB"):
            megabytes_to_bits(wrong)
