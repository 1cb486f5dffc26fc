"""Where trials are written down, for all workers: a file, or a database."""

import time
from pathlib import Path
from urllib.parse import quote

from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from nlpcompress.errors import ConfigError

AWHILE = 1.0
"""Seconds in which another worker makes the tables of an empty database."""


def journal(path: Path) -> JournalStorage:
    """That of a file, by its whole path: of a relative one Optuna never finds out that the owner of
    its lock died.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path.resolve())))


def database(address: str) -> RDBStorage:
    """That of an address as SQLAlchemy has it, with Optuna's tables.

    Raises `ConfigError` when there is none, or no driver for it; the password is not told.
    """
    try:
        return _with_tables(address)
    except (ImportError, ValueError, SQLAlchemyError) as error:
        raise ConfigError(
            f"search.storage cannot be opened: {_without_password(error, address)}. It is the "
            "address of a database that is there, as postgresql://user@host/name or "
            "sqlite:////folder/file.db, whose driver is installed (such as psycopg); leave it out "
            "for a file in the result folder"
        ) from None


def _with_tables(address: str) -> RDBStorage:
    """Of workers that come to an empty database at once, one makes the tables, others fail."""
    try:
        return _connected(address)
    except DBAPIError:
        time.sleep(AWHILE)
        return _connected(address)


def _connected(address: str) -> RDBStorage:
    """Trials take long: a connection that was closed in the meantime is made anew."""
    return RDBStorage(address, engine_kwargs={"pool_pre_ping": True})


def _without_password(error: BaseException, address: str) -> str:
    """What lies behind the error, in the words of the driver; of an address that cannot be read no
    one knows which part is the password, so that nothing of it is told.
    """
    try:
        password = make_url(address).password
    except (ValueError, SQLAlchemyError):
        return "it cannot be read as an address"
    while error.__context__ is not None:
        error = error.__context__
    told = " ".join(str(error).split()).rstrip(".")
    for secret in (password, quote(password)) if password else ():
        told = told.replace(secret, "***")
    return told
