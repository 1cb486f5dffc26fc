"""The models that a run leaves to be measured: which file each row of the report speaks of."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpcompress.core.nearest import nearest
from nlpcompress.errors import ConfigError
from nlpcompress.evaluation.evaluate import Predict, torch_predictor
from nlpcompress.io.load import load_model_folder
from nlpcompress.recipe.checks.blocks import STATIC_KEYS
from nlpcompress.recipe.exporting import FLOAT
from nlpcompress.recipe.runtimes import OF_GRAPHS, onnx_runtimes, torch_runtimes
from nlpcompress.recipe.schema import (
    CODES,
    COMPILED,
    DYNAMIC,
    NNCF,
    ONNX_RUNTIME,
    OPENVINO,
    STATIC,
    TORCH,
    ExportConfig,
)
from nlpcompress.recipe.smaller import FILES, ways_of

TEACHER, COMPRESSED = "teacher", "compressed"
"""Of the model before and of the result."""
ROWS = {
    "": FLOAT,
    "-int8": FILES[DYNAMIC],
    "-static-int8": FILES[STATIC],
    "-nncf-int8": FILES[NNCF],
    "-codes": FILES[CODES],
}
"""What a row's name has after the model's → the file."""


@dataclass(frozen=True)
class Artefact:
    """A row: the folder of the weights, the ONNX file that is measured (None: the model in torch),
    and what runs it.

    `after` is the number of stages behind it, which says how it reads the data.
    """

    name: str
    folder: Path
    onnx: Path | None
    after: int
    runtime: str

    def load(self) -> Predict:
        """This very file, ready to predict; of other runtimes than torch on one thread."""
        if self.onnx is not None:
            return OF_GRAPHS[self.runtime](self.onnx)
        model = load_model_folder(self.folder)
        if self.runtime == COMPILED:
            model.compile(dynamic=True)
        return torch_predictor(model)


def artefacts(
    name: str, folder: Path, onnx: Path | None, after: int, export: ExportConfig
) -> Iterator[Artefact]:
    """The rows of one model: `name`, and `name-int8`, `name-static-int8`, …, of each runtime.

    Those of another runtime than ONNX Runtime end in its name; where there are no ONNX files,
    `name` is the model in torch.
    """
    if onnx is not None and (onnx / FLOAT).is_file():
        yield from _of_files(name, folder, onnx, after, export)
        rest = torch_runtimes(export)
    else:
        yield Artefact(name, folder, None, after, TORCH)
        rest = tuple(runtime for runtime in torch_runtimes(export) if runtime != TORCH)
    for runtime in rest:
        yield Artefact(f"{name}-{runtime}", folder, None, after, runtime)


def _of_files(
    name: str, folder: Path, onnx: Path, after: int, export: ExportConfig
) -> Iterator[Artefact]:
    for runtime in onnx_runtimes(export):
        for end, file in ROWS.items():
            if (onnx / file).is_file():
                yield Artefact(_named(name, end, runtime), folder, onnx / file, after, runtime)


def _named(name: str, end: str, runtime: str) -> str:
    """The row of an ONNX file."""
    return f"{name}{end}{'' if runtime == ONNX_RUNTIME else f'-{runtime}'}"


def row_names(export: ExportConfig) -> Iterator[str]:
    """What the rows of a result may be called; `auto` leaves out files that lose too much.

    >>> list(row_names(ExportConfig(onnx=True, quantize="dynamic-int8")))
    ['compressed', 'compressed-int8']
    """
    rest = torch_runtimes(export)
    if export.onnx:
        files = {FLOAT, *(FILES[way] for way in ways_of(export))}
        ends = [end for end, file in ROWS.items() if file in files]
        for runtime in onnx_runtimes(export):
            yield from (_named(COMPRESSED, end, runtime) for end in ends)
    else:
        yield COMPRESSED
        rest = tuple(runtime for runtime in rest if runtime != TORCH)
    yield from (f"{COMPRESSED}-{runtime}" for runtime in rest)


def check_row(row: str, export: ExportConfig, *, where: str) -> None:
    """Raises `ConfigError` when an export gives a result no such row."""
    names = list(row_names(export))
    if row not in names:
        raise ConfigError(
            f"{where}: this recipe gives no row {row}{nearest(row, names)}; it gives "
            f"{', '.join(names)}"
        )


def export_of_row(export: ExportConfig, row: str) -> ExportConfig:
    """The same export with as little beside the result's `row` as can be, and what it says of other
    files left out; `export` itself where it makes no such row.

    >>> export = ExportConfig(onnx=True, quantize="auto", runtimes=("auto",))
    >>> few = export_of_row(export, "compressed-int8")
    >>> few.quantize, few.runtimes
    ('dynamic-int8', ('onnxruntime',))
    """
    rest = row.removeprefix(COMPRESSED)
    runtime = OPENVINO if rest.endswith(f"-{OPENVINO}") else ONNX_RUNTIME
    ways = {FILES[way]: way for way in ways_of(export)} | {FLOAT: "none"}
    way = ways.get(ROWS.get(rest.removesuffix(f"-{runtime}"), ""))
    if not export.onnx or way is None or runtime not in onnx_runtimes(export):
        return export
    changes: dict[str, Any] = {"quantize": way, "runtimes": (runtime,)}
    of_others = [key for key, ways in STATIC_KEYS.items() if way not in ways]
    if way == "none":
        of_others.append("max_metric_drop")
    changes |= {key: ExportConfig.model_fields[key].default for key in of_others}
    return export.model_copy(update=changes)
