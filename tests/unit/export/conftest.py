"""Models and an exported file that most tests look at, made once: an export takes seconds."""

import pytest
import torch
from export_models import cut_unevenly, small_bert, text_batch
from transformers import ResNetConfig, ResNetForImageClassification

from nlpcompress.export import export_onnx


@pytest.fixture(scope="session")
def bert():
    return small_bert()


@pytest.fixture(scope="session")
def uneven_bert(bert):
    return cut_unevenly(bert)


@pytest.fixture(scope="session")
def bert_file(bert, tmp_path_factory):
    return export_onnx(bert, tmp_path_factory.mktemp("bert") / "model.onnx", text_batch())


@pytest.fixture(scope="session")
def resnet():
    torch.manual_seed(0)
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=3
    )
    return ResNetForImageClassification(config).eval()
