"""The models that a run leaves to be measured: which file each row of the report speaks of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nlpcompress.evaluation.evaluate import Predict, torch_predictor
from nlpcompress.export import OnnxModel
from nlpcompress.io.load import load_model_folder
from nlpcompress.recipe.exporting import CODES, FLOAT, INT8, STATIC


@dataclass(frozen=True)
class Artefact:
    """A row: the folder of the weights, and the ONNX file that is measured (None: torch is).

    `after` is the number of stages behind it, which says how it reads the data.
    """

    name: str
    folder: Path
    onnx: Path | None
    after: int

    def load(self) -> Predict:
        """This very file, ready to predict, on one thread in ONNX Runtime."""
        if self.onnx is not None:
            return OnnxModel(self.onnx)
        return torch_predictor(load_model_folder(self.folder))


def artefacts(name: str, folder: Path, onnx: Path | None, after: int) -> Iterator[Artefact]:
    """The rows of one model: `name`, and `name-int8`, `name-static-int8`, `name-codes`."""
    exported = onnx is not None and (onnx / FLOAT).is_file()
    yield Artefact(name, folder, onnx / FLOAT if exported else None, after)
    for ending, file in (("int8", INT8), ("static-int8", STATIC), ("codes", CODES)):
        if onnx is not None and (onnx / file).is_file():
            yield Artefact(f"{name}-{ending}", folder, onnx / file, after)
