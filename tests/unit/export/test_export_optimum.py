"""The exported folder in Hugging Face's own ONNX runtime, where that runs (transformers 4.57)."""

import numpy as np
import pytest
from export_models import text_batch

from nlpcompress.export import OnnxModel, export_onnx, quantize_dynamic

runtime = pytest.importorskip(
    "optimum.onnxruntime", reason="needs the extra 'optimum'", exc_type=ImportError
)


@pytest.mark.parametrize("name", ["model.onnx", "model_int8.onnx"])
def test_the_folder_opens_as_a_model_for_sequence_classification(uneven_bert, tmp_path, name):
    path = export_onnx(uneven_bert, tmp_path / "model.onnx", text_batch())
    if name != path.name:
        quantize_dynamic(path, tmp_path / name)
    uneven_bert.config.save_pretrained(tmp_path)
    model = runtime.ORTModelForSequenceClassification.from_pretrained(tmp_path, file_name=name)
    batch = text_batch(3, 17)
    logits = model(**batch).logits.numpy()
    np.testing.assert_allclose(logits, OnnxModel(tmp_path / name)(batch), atol=1e-5)
    assert logits.shape == (3, 3)
