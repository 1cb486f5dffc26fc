"""The movie snippets: a made archive of the same build, and the real one where it lies."""

import io
import tarfile
import zipfile

import pytest

from nlpcompress.data.config import DataConfig
from nlpcompress.data.load import load_data
from nlpcompress.data.movies import (
    ARCHIVE,
    OTHERS,
    TABLE,
    TAR,
    read_other_ratings,
    read_ratings,
    read_snippets,
)
from nlpcompress.data.places import ENVIRONMENT_VARIABLE, find_archive
from nlpcompress.errors import DataError

LINES = (
    "1\t2.5\tthe sun is very warm",
    "2\t-1.5\ta caf\u00e9 in snow",
    "3\t0.5\tone day",
    "4\t-0.5\tit was",
    "5\t0.6\tthe fire",
    "6\t-3.0\tthe sun is very warm",
)


def make_archive(folder, lines=LINES, table=TABLE):
    content = "".join(f"{line}\r\n" for line in lines).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo(table)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    path = folder / ARCHIVE.pattern
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(TAR, packed.getvalue())
    return path


def test_two_classes_leave_out_the_neutral_and_a_text_met_before(tmp_path):
    rows = read_snippets(DataConfig(name="movie-snippets", path=str(make_archive(tmp_path)))).train
    assert rows["text"][:] == ["the sun is very warm", "a café in snow", "the fire"]
    assert rows["label"][:] == [1, 0, 1]
    assert rows.features["label"].names == ["negative", "positive"]


def test_ratings_keep_every_distinct_text(tmp_path):
    make_archive(tmp_path)
    rows = read_ratings(DataConfig(name="movie-ratings", path=str(tmp_path))).train
    assert rows["rating"][:] == [2.5, -1.5, 0.5, -0.5, 0.6]


def test_a_missing_archive_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as error:
        read_snippets(DataConfig(name="movie-snippets"))
    command = "pip download --no-deps --no-binary vadersentiment -d"
    assert f"{command} {tmp_path / 'data'} vadersentiment==0.5" in str(error.value)
    assert f"searched: {tmp_path / 'data'}, .data, {tmp_path / '.cache' / 'nlpcompress'}" in str(
        error.value
    )


def test_other_ratings_need_all_their_tables(tmp_path):
    make_archive(tmp_path, table=OTHERS[0])
    with pytest.raises(DataError, match=f"does not hold {TAR} with {OTHERS[1]}"):
        read_other_ratings(DataConfig(name="other-ratings", path=str(tmp_path)))


@pytest.mark.parametrize("place", ["named", ".data", ".cache/nlpcompress"])
def test_the_archive_is_found_in_each_usual_place(tmp_path, monkeypatch, place):
    (tmp_path / place).mkdir(parents=True)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "named"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    make_archive(tmp_path / place)
    assert find_archive(ARCHIVE, None).resolve() == tmp_path / place / ARCHIVE.pattern


def test_an_archive_cut_off_or_of_something_else_is_refused(tmp_path):
    path = make_archive(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"cannot be read as a zip archive .*download it again"):
        read_snippets(DataConfig(name="movie-snippets", path=str(path)))
    path = make_archive(tmp_path, table="other.txt")
    with pytest.raises(DataError, match=r"does not hold .*it is not vaderSentiment-0\.5\.zip"):
        read_snippets(DataConfig(name="movie-snippets", path=str(path)))


@pytest.fixture
def real_archive():
    try:
        return find_archive(ARCHIVE, None)
    except DataError as error:
        pytest.skip(str(error))


def test_the_real_snippets_are_the_documented_ones(real_archive, tokenizer):
    config = DataConfig(name="movie-snippets", path=str(real_archive), max_length=64)
    data = load_data(config, task="text-classification", processor=tokenizer)
    assert (len(data.train), len(data.test)) == (8032, 2009)
    labels = [*data.train["labels"], *data.test["labels"]]
    assert (labels.count(0), labels.count(1)) == (5060, 4981)
    assert data.labels == ("negative", "positive")
    assert sum(data.test["labels"]) == 1020


def test_the_real_ratings_are_the_documented_ones(real_archive, tokenizer):
    config = DataConfig(name="movie-ratings", path=str(real_archive), max_length=64)
    data = load_data(config, task="text-regression", processor=tokenizer)
    assert (len(data.train), len(data.test)) == (8482, 2121)
    ratings = [*data.train["labels"], *data.test["labels"]]
    assert min(ratings) == pytest.approx(-3.875)
    assert max(ratings) == pytest.approx(3.9411765)


def test_the_real_other_ratings_share_next_to_no_text_with_the_movies(real_archive):
    others = read_other_ratings(DataConfig(name="other-ratings", path=str(real_archive))).train
    movies = read_ratings(DataConfig(name="movie-ratings", path=str(real_archive))).train
    assert len(others) == 13016
    assert max(others["rating"]) == pytest.approx(4.0, abs=0.2)
    assert len({*others["text"]} & {*movies["text"]}) < 10
