"""Push a finished model folder to a model hub, or, as a dry run, into another folder.

What is pushed is a list of allowed files (`contents.ALLOWED`), in one commit: who loads the model
while it is pushed, or after a push that died, gets the old state or the new one, never a mixture.

Differs: `HfApi.upload_folder` of huggingface_hub 2 commits in batches when hf-xet is installed, so
the single commit is made with `create_commit`.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from huggingface_hub import (
    CommitInfo,
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    __version__,
    constants,
    get_token,
)
from huggingface_hub.errors import HFValidationError, HTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id

from nlpcompress.errors import ConfigError, HubError
from nlpcompress.io.contents import ONNX, PROCESSOR, STRUCTURE, WEIGHTS
from nlpcompress.io.payload import Content, copy_files, files_to_push, listing, refuse_secrets

logger = logging.getLogger(__name__)

# huggingface_hub 0 fails on its own CommitInfo, after the commit, if the endpoint was an argument.
COMMITS_KNOW_THEIR_ENDPOINT = "_endpoint" in {field.name for field in fields(CommitInfo)}
LOGIN = "run `hf auth login`, or set HF_TOKEN to a token that may write"
DRY_RUN = "`--dry-run FOLDER` shows what would be pushed, without a network"


def push(
    folder: str | Path,
    repo_id: str,
    *,
    dry_run: str | Path | None = None,
    private: bool = False,
    endpoint: str | None = None,
    token: str | None = None,
) -> str:
    """Push the model in `folder` to `repo_id` in one commit, and return the URL of that commit.

    The repository is made if it does not exist (`private` counts only then). Weights, ONNX files
    and loader files of an earlier push that this model does not have are deleted in the same
    commit, and a processor's files where it has a processor. A folder without README.md gets a card
    made of its report and recipe.

    With `dry_run`, nothing is sent: the files are copied into that folder, whose path is returned.
    `endpoint` is the hub's URL (default: HF_ENDPOINT, else huggingface.co); `token` defaults to
    HF_TOKEN, else to what `hf auth login` has stored. No token is ever logged or put into an error.

    Raises `FormatError` when the folder is not a finished model or a file of it holds a token,
    `ConfigError` for a bad repo id, endpoint, token or dry-run folder, and `HubError` when the hub
    cannot be reached or refuses. The repository then holds its old state, unless the connection
    broke just after the commit.
    """
    _check_repo_id(repo_id)
    files = files_to_push(folder, repo_id)
    if dry_run is not None:
        target = copy_files(files, Path(dry_run))
        logger.info("dry run: nothing was sent; %s holds\n%s", target, listing(files))
        return str(target)
    url = _check_endpoint(endpoint)
    secret = _check_token(token, url)
    refuse_secrets(files, secret)
    return _send(
        HfApi(endpoint=url, token=secret, library_name="nlpcompress"), repo_id, files, private
    )


def _check_repo_id(repo_id: str) -> None:
    form = "write it as user/name, with letters, digits, '-', '_' and '.'"
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ConfigError(f"repo id {repo_id!r} is not valid ({error}); {form}") from None
    if "/" not in repo_id:
        raise ConfigError(f"repo id {repo_id!r} has no user or organisation; {form}")


def _check_endpoint(endpoint: str | None) -> str:
    url = (endpoint or constants.ENDPOINT).rstrip("/")
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ConfigError("the endpoint holds a user or a password; write it as https://host")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"endpoint {url!r} is not a URL; write it as https://host")
    if url != constants.ENDPOINT and not COMMITS_KNOW_THEIR_ENDPOINT:
        raise ConfigError(
            f"huggingface_hub {__version__} pushes to HF_ENDPOINT only; set it to {url}, or upgrade"
        )
    return url


def _check_token(token: str | None, url: str) -> str:
    secret = (token if token is not None else get_token() or "").strip()
    if not secret:
        raise HubError(f"no token to push to {url} with; {LOGIN}. {DRY_RUN}")
    if not re.fullmatch(r"[!-~]+", secret):
        raise ConfigError("the token holds spaces or unprintable characters; copy it again, whole")
    return secret


def _send(api: HfApi, repo_id: str, files: Mapping[str, Content], private: bool) -> str:
    try:
        return _commit(api, repo_id, files, private)
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        message = _explain(error, repo_id, api.endpoint).replace(str(api.token), "<token>")
    # Raised here, so that the client's error, whose text may hold a header, is not chained to it.
    raise HubError(message)


def _commit(api: HfApi, repo_id: str, files: Mapping[str, Content], private: bool) -> str:
    api.create_repo(repo_id, private=private or None, exist_ok=True)
    stale = _stale(api.list_repo_files(repo_id), files)
    logger.info(
        "pushing to %s, deleting %s there:\n%s", repo_id, stale or "nothing", listing(files)
    )
    operations = [
        *(CommitOperationDelete(path_in_repo=name) for name in stale),
        *(CommitOperationAdd(name, content) for name, content in sorted(files.items())),
    ]
    commit = api.create_commit(repo_id, operations, commit_message="Push with nlpcompress")
    return commit.commit_url


def _stale(remote: list[str], files: Mapping[str, Content]) -> list[str]:
    """What an earlier push wrote, this one does not, and a reader might take for this model's.

    A processor that lies there stays where this model brings none.
    """
    ours = [*WEIGHTS, *STRUCTURE, *(f"onnx/{pattern}" for pattern in ONNX)]
    ours += PROCESSOR if any(name in files for name in PROCESSOR) else ()
    return [
        name
        for name in remote
        if name not in files and any(fnmatch(name, pattern) for pattern in ours)
    ]


def _explain(error: BaseException, repo_id: str, url: str) -> str:
    what, causes = f"cannot push {repo_id} to {url}", list(_causes(error))
    answered = next((c for c in causes if getattr(c, "response", None) is not None), None)
    status = answered.response.status_code if answered else None
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in causes):
        return f"{what}: HF_HUB_OFFLINE is set; unset it to push. {DRY_RUN}"
    if status == 401:
        return f"{what}: it does not accept the token; {LOGIN}"
    if status == 403:
        owner, _, _ = repo_id.partition("/")
        return f"{what}: the token may not write there; check that {owner!r} is yours, and {LOGIN}"
    if status is None and any(isinstance(cause, (HTTPError, OSError)) for cause in causes):
        return f"{what}: no connection ({_in_one_line(error)}); check the network. {DRY_RUN}"
    return f"{what}: {_in_one_line(answered or error)}"


def _causes(error: BaseException | None) -> Iterator[Any]:
    while error is not None:
        yield error
        error = error.__cause__


def _in_one_line(error: BaseException) -> str:
    """The client's words, without the queries of URLs: those of storage hosts are signed."""
    text = re.sub(r"\?\S+", "", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text[:400].rstrip('.') or 'no message'}"
