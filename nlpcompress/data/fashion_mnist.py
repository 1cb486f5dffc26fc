"""Fashion-MNIST: 70,000 grey pictures of clothes, 28×28, ten classes.

Source: H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST", arXiv:1708.07747; the gz files in the
idx format that Debian's package dataset-fashion-mnist installs.
"""

import gzip
import zlib
from pathlib import Path

import datasets
import numpy as np

from nlpcompress.data.config import DataConfig
from nlpcompress.data.source import Source
from nlpcompress.errors import DataError

DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
CLASSES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
UNSIGNED_BYTE = 8
SIDE = 28


def read_fashion_mnist(config: DataConfig) -> Source:
    """60,000 training and 10,000 test pictures, uint8 `(28, 28)`."""
    folder = Path(config.path or DEBIAN_FOLDER).expanduser()
    return Source(_split(folder, "train"), _split(folder, "t10k"), None, "label")


def _split(folder: Path, name: str) -> datasets.Dataset:
    pictures = read_idx(folder / f"{name}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{name}-labels-idx1-ubyte.gz")
    if pictures.shape[1:] != (SIDE, SIDE) or labels.shape != pictures.shape[:1]:
        raise DataError(f"{folder}: {name} has pictures {pictures.shape} and labels {labels.shape}")
    features = datasets.Features(
        {
            "image": datasets.Array2D(shape=(SIDE, SIDE), dtype="uint8"),
            "label": datasets.ClassLabel(names=list(CLASSES)),
        }
    )
    values = {"image": pictures, "label": labels.astype(np.int64)}
    return datasets.Dataset.from_dict(values, features=features)


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of a gzipped idx file.

    Raises `DataError` when it is absent, cut off or of another type. The format: two zero bytes, a
    type code, the number of dimensions, each dimension as a big- endian 32-bit number, then the
    values.
    """
    if not path.is_file():
        raise DataError(
            f"fashion-mnist: there is no {path}. Get it with `apt-get install "
            "dataset-fashion-mnist`, or set data.path to the folder with the four *-ubyte.gz files"
        )
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is not a whole gz file ({error}); install it again") from None
    return _parse(content, path)


def _parse(content: bytes, path: Path) -> np.ndarray:
    if len(content) < 4 or content[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise DataError(
            f"{path} is not an idx file of unsigned bytes (starts with {content[:4].hex()})"
        )
    start = 4 + 4 * content[3]
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist())
    if len(content) - start != np.prod(shape, dtype=np.int64):
        raise DataError(
            f"{path} should hold {shape} values, has {len(content) - start}; install it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
