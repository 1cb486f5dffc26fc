"""Databases of trials: those that cannot be opened, and what others do to those that can."""

import pytest
from optuna.storages import RDBStorage
from sqlalchemy.exc import IntegrityError

from nlpcompress.errors import ConfigError
from nlpcompress.search.study import open_study


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgresql+nodriver://me:secret@localhost/x", "postgresql.nodriver"),
        ("sqlite:////no/such/folder/x.db", "unable to open database file"),
        ("sqlite://me:secret@secret/x.db", r"Invalid SQLite URL: sqlite://me:\*\*\*@\*\*\*/x.db"),
        ("study.log", "it cannot be read as an address"),
        ("postgresql://me:secret/x", "it cannot be read as an address"),
        ("redis://localhost", "Can't load plugin: .*redis"),
        ("postgresql://me:secret@localhost:port/x", "it cannot be read as an address"),
    ],
)
def test_a_database_that_cannot_be_opened_is_told_without_its_password(address, told):
    with pytest.raises(ConfigError, match=f"search.storage cannot be opened: .*{told}") as error:
        open_study(address, name="x", maximize=True)
    assert "secret" not in str(error.value)


def test_who_comes_as_another_makes_the_tables_comes_again(tmp_path, monkeypatch):
    came, address = [], f"sqlite:///{tmp_path}/x.db"

    def at_once(place, **values):
        came.append(place)
        if len(came) == 1:
            raise IntegrityError("create", {}, ValueError("duplicate key value"))
        return RDBStorage(place, **values)

    monkeypatch.setattr("nlpcompress.search.storages.RDBStorage", at_once)
    monkeypatch.setattr("nlpcompress.search.storages.AWHILE", 0)
    assert open_study(address, name="x", maximize=True).trials == []
    assert came == [address, address]


def test_a_connection_that_was_closed_between_trials_is_made_anew(tmp_path):
    study = open_study(f"sqlite:///{tmp_path}/x.db", name="x", maximize=True)
    trial = study.ask()
    pooled = list(study._storage._backend.engine.pool._pool.queue)
    assert pooled
    for connection in pooled:
        connection.dbapi_connection.close()
    study.tell(trial, 1.0)
    assert study.best_value == 1.0
