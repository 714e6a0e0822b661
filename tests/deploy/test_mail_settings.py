"""Mail as settings say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.status.database import Database, sqlite_url
from connectors.status.model import ReadModel
from deploy.gateway import mail_tasks
from deploy.settings import SettingsError, load
from tests.support.books import book


def tasks(folder: Path, **chosen: str) -> int:
    settings = load(data_dir=folder, reference_key="00" * 32, **chosen)
    database = Database(sqlite_url(folder / "read.db"))
    try:
        return len(mail_tasks(settings, book(()), ReadModel(database), database, None))
    finally:
        database.close()


def test_mail_is_sent_where_there_is_a_server(tmp_path: Path) -> None:
    assert tasks(tmp_path) == 0
    assert tasks(tmp_path, mail_server="smtp://127.0.0.1:25", mail_from="relais@bus.example") == 1


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"mail_server": "smtp://a:hidden@b:25"}, "without mail_from"),
        ({"mail_server": "ftp://a:hidden@b", "mail_from": "a@b"}, "mail_server"),
        ({"mail_server": "smtp://a:hidden/1@b", "mail_from": "a@b"}, "percent-encoded"),
        ({"mail_from": "somebody"}, "mail_from"),
        ({"public_url": "javascript:x"}, "public_url"),
    ],
)
def test_mail_that_cannot_be_is_told_without_the_password(tmp_path: Path, chosen: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        tasks(tmp_path, **chosen)
    assert "hidden" not in str(caught.value)
