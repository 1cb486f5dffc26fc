import numpy as np
import pytest
import torch
from export_models import text_batch

from nlpcompress.errors import DataError, FormatError
from nlpcompress.export import OnnxModel


def test_tensors_and_arrays_give_the_same_logits_as_torch(bert, bert_file):
    batch = text_batch(4, 10)
    exported = OnnxModel(bert_file)
    logits = exported(batch)
    assert isinstance(logits, np.ndarray)
    assert logits.dtype == np.float32
    with torch.no_grad():
        np.testing.assert_allclose(logits, bert(**batch).logits.numpy(), atol=1e-5)
    arrays = {name: value.numpy().astype(np.int32) for name, value in batch.items()}
    np.testing.assert_array_equal(exported(arrays), logits)


def test_labels_and_other_unknown_inputs_are_ignored(bert_file):
    batch = text_batch(4, 10)
    more = {**batch, "labels": torch.zeros(4), "rating": torch.ones(4)}
    exported = OnnxModel(bert_file)
    np.testing.assert_array_equal(exported(more), exported(batch))


def test_a_missing_input_is_named(bert_file):
    batch = text_batch()
    del batch["attention_mask"]
    with pytest.raises(DataError, match="the batch lacks attention_mask"):
        OnnxModel(bert_file)(batch)


def test_texts_of_another_rank_are_told_of(bert_file):
    batch = {name: ids[0] for name, ids in text_batch().items()}
    with pytest.raises(DataError, match=r"model.onnx takes inputs of another shape \(.*rank"):
        OnnxModel(bert_file)(batch)


def test_threads_are_what_was_asked_for_and_one_by_default(bert_file):
    options = OnnxModel(bert_file)._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    options = OnnxModel(bert_file, threads=2)._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"no ONNX file at .*gone\.onnx"):
        OnnxModel(tmp_path / "gone.onnx")


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_torn_file_is_never_taken_for_a_model(bert_file, tmp_path, kept):
    content = bert_file.read_bytes()
    size = kept if isinstance(kept, int) else int(len(content) * kept)
    torn = tmp_path / "model.onnx"
    torn.write_bytes(content[:size])
    with pytest.raises(FormatError, match=rf"model.onnx' \({size} bytes\) is torn"):
        OnnxModel(torn)


def test_second_sentences_are_not_dropped_in_silence(bert, tmp_path):
    from nlpcompress.export import export_onnx

    batch = text_batch()
    marks = batch.pop("token_type_ids")
    exported = OnnxModel(export_onnx(bert, tmp_path / "model.onnx", batch))
    exported({**batch, "token_type_ids": marks})  # all zero: the model's own default
    with pytest.raises(DataError, match="exported without token_type_ids"):
        exported({**batch, "token_type_ids": torch.ones_like(marks)})


def test_masked_places_are_not_attended_to_in_silence(bert, tmp_path):
    from nlpcompress.export import export_onnx

    batch = text_batch()
    mask = batch.pop("attention_mask")
    exported = OnnxModel(export_onnx(bert, tmp_path / "model.onnx", batch))
    exported({**batch, "attention_mask": torch.ones_like(mask)})
    with pytest.raises(DataError, match="exported without attention_mask"):
        exported({**batch, "attention_mask": mask})
