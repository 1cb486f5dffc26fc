"""Copies of rows as a file of Arrow's stream format: whole, or not there."""

from pathlib import Path

import pyarrow as pa

from nlpcompress.core.whole import whole_file
from nlpcompress.data.augmentation.copies import Copies
from nlpcompress.errors import DataError


def write_copies(path: Path, copies: Copies, columns: int) -> None:
    """Written beside first and renamed when done: a file of that name is whole."""
    values = {"source": pa.array(copies.source, pa.int64())}
    for number in range(columns):
        texts = [row[number] for row in copies.texts]
        values[f"text{number}"] = pa.array(texts, pa.large_string())
    table = pa.table(values)
    with (
        whole_file(path, alone=False) as temporary,
        pa.OSFile(str(temporary), "wb") as file,
        pa.ipc.new_stream(file, table.schema) as stream,
    ):
        stream.write_table(table)


def read_copies(path: Path) -> Copies:
    """Raises `DataError` when the file is damaged."""
    try:
        with path.open("rb") as file:
            source, *texts = pa.ipc.open_stream(file).read_all().columns
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); delete it, and it is made anew"
        ) from None
    return Copies(
        tuple(source.to_pylist()), tuple(zip(*(t.to_pylist() for t in texts), strict=True))
    )
