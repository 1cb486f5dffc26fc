"""A worker of a study: python study_program.py FOLDER TRIALS SECONDS_EACH [DATABASE]"""

import sys
import time
from pathlib import Path

from pydantic import TypeAdapter

from nlpcompress.search.judged import Judged
from nlpcompress.search.space import Space
from nlpcompress.search.study import How, open_study, run_trials

folder, trials, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
space = TypeAdapter(Space).validate_python({"x": {"low": 0.0, "high": 1.0}})


def judge(number, point, goes_on):
    print(f"trial {number}", flush=True)
    time.sleep(seconds)
    return Judged(point["x"], {"x": point["x"] - 0.5}, {"x": point["x"]})


study = open_study(*(sys.argv[4:] or [folder / "journal.log"]), name="shared", maximize=True)
how = How("random", 0, trials)
run_trials(study, space, judge, how=how, lock=folder / "lock")
