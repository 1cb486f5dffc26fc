"""A finished result folder, opened to be measured or exported again."""

from collections.abc import Sequence
from pathlib import Path

from nlpcompress.errors import ConfigError, FormatError
from nlpcompress.io.contents import check_finished
from nlpcompress.recipe.artefacts import COMPRESSED, TEACHER, Artefact, artefacts
from nlpcompress.recipe.exporting import ONNX, export_part
from nlpcompress.recipe.job import Job
from nlpcompress.recipe.launch import join
from nlpcompress.recipe.load import load_recipe
from nlpcompress.recipe.workspace import RESOLVED, Workspace


def open_result(folder: str | Path, overrides: Sequence[str] = ()) -> Job:
    """The job whose result lies in `folder`, to be measured with `overrides`.

    Raises `FormatError` when it is no finished result.
    """
    folder = Path(folder)
    check_finished(folder)
    if not (folder / RESOLVED).is_file():
        raise FormatError(
            f"{folder} is no finished result (there is no {RESOLVED}); `nlpcompress run` makes "
            "one, and goes on with one that was stopped"
        )
    recipe = load_recipe(folder, overrides)
    return Job(recipe, Workspace(folder), join(), made_by=load_recipe(folder))


def result_rows(job: Job) -> list[Artefact]:
    """Every artefact of the run that is to be measured: the teacher's while the parts are there,
    then the result's own.

    Raises `ConfigError` when the one row that is asked for is not among them.
    """
    out, asked = job.workspace.out, job.recipe.evaluate.row
    before = teacher_rows(job) if has_teacher(job) else []
    own = list(artefacts(COMPRESSED, out, out / ONNX, job.last, job.recipe.export))
    if asked is None:
        return [*before, *own]
    chosen = [row for row in own if row.name == asked]
    if not chosen:
        names = ", ".join(row.name for row in own)
        raise ConfigError(f"evaluate.row: there is no {asked}, but {names}")
    return [*before[:1], *chosen]


def teacher_rows(job: Job) -> list[Artefact]:
    """The model before the first cut, and its exports; none when the recipe does not cut."""
    after = job.teacher_after
    if after is None:
        return []
    onnx = export_part(job, after).folder / ONNX if job.maker.export.onnx else None
    return list(artefacts(TEACHER, job.model_folder(after), onnx, after, job.recipe.export))


def has_teacher(job: Job) -> bool:
    """Whether the model before the first cut is there, and is to be measured."""
    after = job.teacher_after
    if after is None or not job.recipe.evaluate.before:
        return False
    return job.part(after).record is not None
