"""Compound scaling: EfficientNet's published family, other families' configs, what is refused."""

import pytest
import torch
import transformers

from nlpcompress.core.divisible import divisible
from nlpcompress.errors import ConfigError
from nlpcompress.models.scaling import FAMILIES, Factors, scale_config
from nlpcompress.search.compound import CompoundScaling


def parameters(config):
    with torch.device("meta"):
        model = transformers.AutoModelForImageClassification.from_config(config)
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("phi", "millions", "resolution"), [(0, 5.3, 224), (1, 9.2, 260), (2, 12.0, 300)]
)
def test_efficientnet_grows_as_published(phi, millions, resolution):
    """Tan and Le 2019, table 2: B0, B2 and B3, whose pictures are rounded up."""
    scaling = CompoundScaling(phi=phi)
    base = transformers.EfficientNetConfig(
        width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, num_labels=1000
    )
    scaled = scale_config(base, Factors(scaling.width, scaling.depth))
    assert parameters(scaled) / 1e6 == pytest.approx(millions, rel=0.03)
    assert 224 * scaling.resolution == pytest.approx(resolution, rel=0.015)
    assert parameters(base) == 5_288_548  # its own config is left as it is


def test_each_step_about_doubles_the_work():
    assert CompoundScaling(phi=1).macs == pytest.approx(2, rel=0.05)
    assert CompoundScaling(phi=3).macs == pytest.approx(2**3, rel=0.15)
    assert CompoundScaling(phi=-1).depth == pytest.approx(1 / 1.2)


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_every_family_grows_to_a_model_that_runs(kind):
    config = transformers.AutoConfig.for_model(kind)
    scaled = scale_config(config, Factors(1.21, 1.44))
    assert parameters(scaled) > 1.2 * parameters(config)
    assert parameters(scale_config(config, Factors(1.0, 1.0))) == parameters(config)


def test_layers_are_rounded_up_and_channels_to_eights_or_groups():
    resnet = transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32, 64], depths=[1, 2, 5], layer_type="basic"
    )
    scaled = scale_config(resnet, Factors(1.1, 1.2))
    assert (scaled.depths, scaled.hidden_sizes) == ([2, 3, 6], [16, 32, 72])
    assert scaled.embedding_size == 16
    regnet = scale_config(transformers.RegNetConfig(), Factors(1.1, 1.0))
    assert all(size % regnet.groups_width == 0 for size in regnet.hidden_sizes)


def test_the_least_multiple_keeps_nine_tenths():
    for channels in range(1, 300):
        found = divisible(channels)
        assert found % 8 == 0 and found >= 0.9 * channels and found <= channels + 8


def test_other_families_are_refused():
    with pytest.raises(ConfigError, match=r"models of type bert have no scaling; .*resnet"):
        scale_config(transformers.BertConfig(), Factors(1.1, 1.2))
