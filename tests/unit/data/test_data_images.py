"""Pictures: scikit-learn's digits, made idx files, and the real Fashion-MNIST where it is
installed.
"""

import gzip

import numpy as np
import pytest
import torch

from nlpcompress.data.config import DataConfig
from nlpcompress.data.fashion_mnist import DEBIAN_FOLDER, read_idx
from nlpcompress.data.load import load_data
from nlpcompress.errors import DataError

TASK = "image-classification"


def load(config, processor=None):
    return load_data(config, task=TASK, processor=processor)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_fashion(folder, train=6, test=3):
    random = np.random.RandomState(0)
    for name, rows in (("train", train), ("t10k", test)):
        pictures, labels = random.randint(0, 256, (rows, 28, 28)), np.arange(rows) % 10
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pictures)))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return random


def test_digits_are_all_there_and_a_batch_is_theirs():
    data = load(DataConfig(name="digits"))
    assert (len(data.train), len(data.test)) == (1437, 360)
    assert data.labels == tuple("0123456789")
    batch = data.collate([data.test[row] for row in range(5)])
    assert batch["pixel_values"].shape == (5, 1, 8, 8)
    assert batch["pixel_values"].dtype == torch.float32
    assert (batch["pixel_values"].min(), batch["pixel_values"].max()) == (0.0, 1.0)
    assert set(data.test.column_names) == {"pixel_values", "labels"}


def test_digits_keep_their_labels_through_shuffling():
    data = load(DataConfig(name="digits"))
    pixels, labels = (np.array(data.train[:][name]) for name in ("pixel_values", "labels"))
    # A zero has a hole in the middle, a one does not.
    assert pixels[labels == 0][:, 3:5, 3:5].mean() < 0.4 * pixels[labels == 1][:, 3:5, 3:5].mean()


def test_fashion_is_read_from_idx_files(tmp_path):
    write_fashion(tmp_path)
    data = load(DataConfig(name="fashion-mnist", path=str(tmp_path)))
    assert (len(data.train), len(data.test), len(data.labels)) == (6, 3, 10)
    pictures = read_idx(tmp_path / "t10k-images-idx3-ubyte.gz")
    for row in data.test:
        assert np.array_equal(row["pixel_values"], pictures[row["labels"]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no gzip", "not a whole gz file"),
        (gzip.compress(idx(np.zeros((2, 3))))[:-9], "not a whole gz file"),
        (gzip.compress(b"PNG....."), "not an idx file of unsigned bytes"),
        (gzip.compress(idx(np.zeros((2, 3)))[:-1]), r"should hold \(2, 3\) values, has 5"),
    ],
    ids=["no gzip", "cut short", "no idx", "too few values"],  # a gzip header has the time in it
)
def test_a_torn_or_foreign_idx_file_is_refused(tmp_path, content, message):
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(path)


def test_a_missing_idx_file_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        load(DataConfig(name="fashion-mnist", path=str(tmp_path)))


def test_pictures_and_labels_must_be_as_many(tmp_path):
    write_fashion(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros(5))))
    with pytest.raises(DataError, match=r"train has pictures \(6, 28, 28\) and labels \(5,\)"):
        load(DataConfig(name="fashion-mnist", path=str(tmp_path)))


def test_a_tokenizer_does_not_read_pictures(tokenizer):
    with pytest.raises(DataError, match="pictures are read through an image processor"):
        load(DataConfig(name="digits"), tokenizer)


@pytest.mark.slow
def test_the_real_fashion_set_is_the_documented_one():
    try:
        data = load(DataConfig(name="fashion-mnist"))
    except DataError as error:
        pytest.skip(f"{DEBIAN_FOLDER}: {error}")
    assert (len(data.train), len(data.test), len(data.labels)) == (60_000, 10_000, 10)
    assert np.bincount(data.test[:]["labels"]).tolist() == [1000] * 10
