"""What a push consists of: the files, their sizes, and that none of them gives a secret away."""

import os
import re
import shutil
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from nlpcompress.errors import ConfigError, FormatError
from nlpcompress.io.card import FOLDER, folder_card
from nlpcompress.io.contents import model_files
from nlpcompress.io.swap import readable

Content = Path | bytes
TOKEN_SHAPE = re.compile(rb"\bhf_[A-Za-z0-9]{30,}\b")
OUT_KEY = re.compile(rb"^out: .*\n(?: .*\n)*", re.MULTILINE)
"""In YAML, with the indented lines that a long path of words takes."""
BINARY = ("*.safetensors", "*.onnx", "*.onnx.data", "*.onnx_data")


def files_to_push(folder: str | Path, repo_id: str) -> dict[str, Content]:
    """Name in the repository → file, or the content itself where it differs from the file's.

    A folder without README.md gets a card made of its report and recipe; a recipe goes without the
    folder that its result was put into on this machine. Where a save was killed while it replaced
    the folder, the old one is read. Raises `FormatError` when the folder is not a finished model,
    or when a file of it holds a token.
    """
    folder = readable(Path(folder).resolve())
    files: dict[str, Content] = {**model_files(folder)}
    readme = files.get("README.md")
    if isinstance(readme, Path):
        files["README.md"] = readme.read_bytes().replace(FOLDER.encode(), repo_id.encode())
    else:
        files["README.md"] = folder_card(folder, repo_id=repo_id).encode()
    recipe = files.get("recipe.yaml")
    if isinstance(recipe, Path):
        files["recipe.yaml"] = OUT_KEY.sub(b"", recipe.read_bytes())
    refuse_secrets(files)
    return files


def listing(files: Mapping[str, Content]) -> str:
    """One line a file, its size in bytes first, then the total.

    >>> print(listing({"config.json": b"{}"}))
             2  config.json
             2  bytes in 1 file
    """
    sizes = {name: _size(content) for name, content in sorted(files.items())}
    lines = [f"{size:>10}  {name}" for name, size in sizes.items()]
    total = f"{sum(sizes.values()):>10}  bytes in {len(sizes)} file{'s' * (len(sizes) != 1)}"
    return "\n".join([*lines, total])


def refuse_secrets(files: Mapping[str, Content], secret: str | None = None) -> None:
    """Raise `FormatError` when a text file holds `secret`, or what looks like a hub token."""
    for name, content in files.items():
        if any(fnmatch(name, pattern) for pattern in BINARY):
            continue
        text = content if isinstance(content, bytes) else content.read_bytes()
        if TOKEN_SHAPE.search(text) or (secret and secret.encode() in text):
            raise FormatError(f"{name} holds an access token; remove it there before pushing")


def copy_files(files: Mapping[str, Content], target: Path) -> Path:
    """Write the files into the new folder `target`: all of them, or, on an error, nothing.

    Raises `ConfigError` when the folder exists and is not empty, or cannot be written.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"the folder {target} exists and is not empty; name a new one")
    target = target.absolute()
    temporary = target.parent / f".{target.name}.{os.getpid()}.tmp"
    try:
        for name, content in files.items():
            _copy(content, temporary / name)
        os.replace(temporary, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot write {target}: {reason}; name another folder") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _copy(content: Content, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Path):
        shutil.copyfile(content, target)
    else:
        target.write_bytes(content)


def _size(content: Content) -> int:
    return content.stat().st_size if isinstance(content, Path) else len(content)
