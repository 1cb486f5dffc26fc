"""The models that a run leaves to be measured: which file each row of the report speaks of."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlpcompress.evaluation.evaluate import Predict, torch_predictor
from nlpcompress.io.load import load_model_folder
from nlpcompress.recipe.exporting import CODES, FLOAT, INT8, NNCF, RUNTIMES, STATIC

DEFAULT = "onnxruntime"
FILES = {
    "": FLOAT,
    "-int8": INT8,
    "-static-int8": STATIC,
    "-nncf-int8": NNCF,
    "-codes": CODES,
}
"""What a row's name has after the model's → the file."""


@dataclass(frozen=True)
class Artefact:
    """A row: the folder of the weights, and the ONNX file that is measured (None: torch is), by a
    runtime.

    `after` is the number of stages behind it, which says how it reads the data.
    """

    name: str
    folder: Path
    onnx: Path | None
    after: int
    runtime: str = DEFAULT

    def load(self) -> Predict:
        """This very file, ready to predict, on one thread in its runtime."""
        if self.onnx is not None:
            return RUNTIMES[self.runtime](self.onnx)
        return torch_predictor(load_model_folder(self.folder))


def artefacts(
    name: str, folder: Path, onnx: Path | None, after: int, runtimes: Sequence[str] = (DEFAULT,)
) -> Iterator[Artefact]:
    """The rows of one model: `name`, and `name-int8`, `name-static-int8`, …, of each runtime.

    Those of another runtime than ONNX Runtime end in its name.
    """
    if onnx is None or not (onnx / FLOAT).is_file():
        yield Artefact(name, folder, None, after)
        return
    for runtime in runtimes:
        last = "" if runtime == DEFAULT else f"-{runtime}"
        for middle, file in FILES.items():
            if (onnx / file).is_file():
                yield Artefact(f"{name}{middle}{last}", folder, onnx / file, after, runtime)
