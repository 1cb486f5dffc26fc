"""What every part of a run shares: the recipe, its data, its processor, where parts lie."""

import datetime
import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import PreTrainedModel

import nlpcompress
from nlpcompress.data.task_data import TaskData
from nlpcompress.io.load import load_model_folder
from nlpcompress.models.load import load_processor
from nlpcompress.recipe.fingerprint import file_hashes
from nlpcompress.recipe.roles import first_cut, renumbers
from nlpcompress.recipe.schema import Recipe
from nlpcompress.recipe.source import recipe_data, start_processor
from nlpcompress.recipe.workspace import PARTS, Part, Workspace

logger = logging.getLogger(__name__)
MODEL = "model"
"""The folder of the finished model inside a part."""
ANSWERS = "answers"
SCORES = "scores"


@dataclass(frozen=True)
class Job:
    """A recipe at work. "After k stages" counts from 0, the model the recipe starts from.

    `made_by` is the recipe that made what lies in the workspace, where `recipe` measures it in
    another way.
    """

    recipe: Recipe
    workspace: Workspace
    state: PartialState
    made_by: Recipe | None = None

    def processor(self, after: int) -> Any:
        """Tokenizer or image processor of the model after `after` stages, which must be done.

        It is the start's, and another one after each stage that renumbers tokens.
        """
        place = self._renumbered(after)
        if place not in self._processors:
            self._processors[place] = self._read_processor(place)
        return self._processors[place]

    def data(self, after: int) -> TaskData:
        """Both splits, as the model after `after` stages reads them. Raises as `recipe_data`."""
        place = self._renumbered(after)
        if place not in self._data:
            self._data[place] = recipe_data(self.recipe, self.processor(place))
        return self._data[place]

    @cached_property
    def _processors(self) -> dict[int, Any]:
        return {}

    @cached_property
    def _data(self) -> dict[int, TaskData]:
        return {}

    def _renumbered(self, after: int) -> int:
        """After how many stages, `after` at most, tokens last got new ids; 0 if they never did."""
        stages = enumerate(self.recipe.stages[:after], start=1)
        return max((number for number, stage in stages if renumbers(stage.method)), default=0)

    def _read_processor(self, place: int) -> Any:
        if place == 0:
            return start_processor(self.recipe.model)
        folder = self.model_folder(place)
        kept = folder if folder.is_dir() else self.workspace.out
        return load_processor(str(kept), task=self.recipe.model.task)

    @property
    def maker(self) -> Recipe:
        """The recipe that parts are named by."""
        return self.made_by or self.recipe

    @property
    def last(self) -> int:
        """The number of stages."""
        return len(self.recipe.stages)

    @property
    def teacher_after(self) -> int | None:
        """After how many stages the model is the one before the first cut; None without a cut."""
        return first_cut([stage.method for stage in self.recipe.stages], self.last)

    def description(self, after: int) -> dict[str, Any]:
        """All that the model after `after` stages depends on."""
        recipe = self.maker.to_json()
        packed = {"storage": recipe["storage"]} if self.is_packed(after) else {}
        turned = {"save_as": recipe["save_as"]} if self.is_albert(after) else {}
        return {
            **packed,
            **turned,
            "nlpcompress": nlpcompress.__version__,
            "model": recipe["model"],
            "data": recipe["data"],
            "files": self._files,
            "seed": recipe["seed"],
            "stages": recipe["stages"][:after],
        }

    def is_packed(self, after: int) -> bool:
        """Whether the model after `after` stages is the result, and stored sparsely."""
        return after == self.last and self.recipe.storage != "dense"

    def is_albert(self, after: int) -> bool:
        """Whether the model after `after` stages is the result, and saved as a stock ALBERT."""
        return after == self.last and self.recipe.save_as == "albert"

    @cached_property
    def _files(self) -> dict[str, str]:
        return file_hashes(self.maker)

    def part(self, after: int) -> Part:
        """Where the model after `after` stages lies."""
        return self.workspace.part(self.description(after))

    def answers(self, position: int) -> Path | None:
        """Where a stage's answers of teachers are stored; None where they are not."""
        wanted = self.recipe.stages[position].cache_teacher
        if not wanted:
            return None
        return Path(wanted) if isinstance(wanted, str) else self.workspace.out / PARTS / ANSWERS

    def scores(self, position: int) -> Path:
        """Where a stage's methods store scores that are costly."""
        wanted = self.recipe.stages[position].cache_scores
        return Path(wanted) if wanted else self.workspace.out / PARTS / SCORES

    def model_folder(self, after: int) -> Path:
        """The saved model after `after` stages."""
        return self.part(after).folder / MODEL

    def model(self, after: int) -> PreTrainedModel:
        """That model, loaded on the CPU, in eval mode. Its part must be done."""
        return load_model_folder(self.model_folder(after))


def duration(seconds: float) -> str:
    """`1:02:03`, or `7.5 s` below a minute."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return str(datetime.timedelta(seconds=round(seconds)))
