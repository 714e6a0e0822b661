import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.settings import LogLevel, Settings, SettingsError, load
from streams.runtime.config import Clock


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CONFIG", *(field.upper() for field in Settings.model_fields)):
        monkeypatch.delenv(f"RELAIS_{name}", raising=False)


def test_defaults_need_nothing() -> None:
    settings = load()
    assert (settings.instance, settings.clock, settings.partitions) == ("main", Clock.WALL, 24)
    with pytest.raises(ValidationError, match="frozen"):
        settings.partitions = 3  # type: ignore[misc]


def test_every_field_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_a_caller_goes_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "relais.toml"
    file.write_text('instance = "file"\npartitions = 5\nhttp_port = 1234\n')
    monkeypatch.setenv("RELAIS_PARTITIONS", "6")
    monkeypatch.setenv("RELAIS_HTTP_PORT", "4321")
    monkeypatch.setenv("RELAIS_LOG_LEVEL", "WARNING")
    settings = load(http_port=9)
    assert (settings.instance, settings.partitions, settings.http_port) == ("file", 6, 9)
    assert settings.log_level is LogLevel.WARNING

    elsewhere = tmp_path / "other.toml"
    elsewhere.write_text('clock = "led"\n')
    monkeypatch.setenv("RELAIS_CONFIG", str(elsewhere))
    assert load().clock is Clock.LED
    monkeypatch.setenv("RELAIS_CONFIG", str(tmp_path / "missing.toml"))
    with pytest.raises(SettingsError, match="not a file"):
        load()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PARTITIONS", "0", "partitions (RELAIS_PARTITIONS): Input should be greater than or equal to 1"),
        ("INSTANCE", "Main.1", "instance (RELAIS_INSTANCE)"),
        ("CLOCK", "moon", "'wall' or 'led'"),
        ("HEARTBEAT_MS", "9000", "lower it"),
        ("WORKER_PORT", "8400", "change one"),
        ("REFERENCE_KEY", "c0ffee", "wrong length"),
        ("REFERENCE_KEY", "not hexadecimal at all", "not hexadecimal"),
    ],
)
def test_an_error_names_the_field_and_the_mend(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"RELAIS_{variable}", value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert said in str(caught.value)
    if variable == "REFERENCE_KEY":
        assert value not in str(caught.value), "a secret is never shown"


def test_a_file_is_checked_whole(tmp_path: Path) -> None:
    file = tmp_path / "relais.toml"
    file.write_text("partition = 3\nbatch_records = 0\n")
    with pytest.raises(SettingsError, match="partition: no such setting") as caught:
        load()
    assert "batch_records" in str(caught.value)
    file.write_text("partitions = \n")
    with pytest.raises(SettingsError, match=r"relais\.toml cannot be read"):
        load()


def test_the_key_of_references_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = load(data_dir=tmp_path / "data")
    with pytest.raises(SettingsError, match="RELAIS_REFERENCE_KEY"):
        settings.reference_secret()
    made = settings.ensure_reference_secret()
    assert len(made) == 32
    assert settings.ensure_reference_secret() == settings.reference_secret() == made
    assert [path.name for path in settings.data_dir.iterdir()] == ["reference.key"]
    assert stat.S_IMODE((settings.data_dir / "reference.key").stat().st_mode) == 0o600


def test_the_key_of_references_may_be_given_or_mounted(tmp_path: Path) -> None:
    key = "ab" * 32
    given = load(reference_key=key)
    assert given.ensure_reference_secret() == bytes.fromhex(key)
    assert key not in repr(given)
    mounted = tmp_path / "secret"
    mounted.write_text(f"{key}\n")
    assert load(reference_key_file=mounted).ensure_reference_secret() == bytes.fromhex(key)
    with pytest.raises(SettingsError, match="keep one"):
        load(reference_key=key, reference_key_file=mounted)
    mounted.write_text("short")
    with pytest.raises(SettingsError, match="not hexadecimal"):
        load(reference_key_file=mounted).reference_secret()
    with pytest.raises(SettingsError, match="does not exist"):
        load(reference_key_file=tmp_path / "none").ensure_reference_secret()
