"""What a deployment may choose: environment variables `RELAIS_…` and, below them, a TOML file; checked at start."""

import os
import secrets
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from deploy.errors import DeployError, Exit
from streams.runtime.config import Clock

PREFIX = "RELAIS_"
CONFIG_VARIABLE = "RELAIS_CONFIG"
DEFAULT_CONFIG = Path("relais.toml")
KEY_BYTES = 32


class LogLevel(StrEnum):
    """From which severity on a line is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class SettingsError(DeployError):
    """Settings that cannot be used; the text names each field, what is wrong with it and what it is for."""

    exit_code = Exit.USAGE


class Settings(BaseSettings):
    """The settings of one deployment. Every field is also the environment variable `RELAIS_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", use_attribute_docstrings=True)

    brokers: str = ""
    """Kafka's addresses, `host:port` with commas between; empty: the local broker, started in `data_dir`."""
    instance: str = Field("main", pattern=r"^[a-z][a-z0-9-]{0,38}[a-z0-9]$")
    """Name that every topic, group and store carries; lower-case letters, digits and hyphens, 2 to 40 characters."""
    clock: Clock = Clock.WALL
    """What moves time: `wall` in service, `led` in tests and replays."""
    partitions: int = Field(24, ge=1, le=1024)
    """Partitions of case-events and journeys; part of the contract, never changed once the instance exists."""
    bundles: int = Field(6, ge=1, le=1024)
    """Each topic's partitions run in so many bundles, a bundle on one worker and in one transaction; so many workers have work.
    The same for all workers: stop them all before it is changed."""
    output_partitions: int = Field(6, ge=1, le=256)
    """Partitions of statuses, handoffs and alerts."""
    replication: int = Field(1, ge=1, le=7)
    """Copies of each topic; 3 on a cluster in service, 1 on the local broker."""
    data_dir: Path = Path(".relais")
    """Folder of the local stores, of the generated key and of the local broker."""
    cache_mb: int = Field(256, ge=16, le=65_536)
    """Memory for the caches of one worker, in MB; local stores share it."""
    reference_key: SecretStr | None = Field(None)
    """Key of the hash of references, 32 to 128 hexadecimal digits; without it and its file: generated in `data_dir`."""
    reference_key_file: Path | None = None
    """File that holds the key of references, for secrets that are mounted."""
    schema_ids_file: Path | None = None
    """JSON file of a schema registry's ids (`{"17": "case.opened.1"}`), to read the Confluent framing too."""
    schema_registry: str = ""
    """Address of a schema registry that gives those ids at each start, up to its routes; `schema_ids_file` goes before it."""
    schema_registry_user: str = ""
    """Account at the registry; empty: it asks for none."""
    schema_registry_password: SecretStr | None = None
    """Password of that account."""
    session_timeout_ms: int = Field(10_000, ge=1_000, le=300_000)
    """Silence after which the group gives up a worker, in ms; bounds how long a crash stops its partitions."""
    heartbeat_ms: int = Field(1_000, ge=100, le=60_000)
    """Interval between a worker's signs of life, in ms; at most a third of `session_timeout_ms`."""
    transaction_timeout_ms: int = Field(30_000, ge=1_000, le=900_000)
    """Age at which the broker aborts an open transaction, in ms; until then it holds readers up."""
    retry_backoff_ms: int = Field(5, ge=1, le=1_000)
    """Wait before a producer asks again, in ms; at 100, the usual value, a transaction takes 105 ms instead of 8."""
    batch_records: int = Field(5_000, ge=1, le=100_000)
    """Records of one partition that one transaction takes at most."""
    accept_lost_state: bool = False
    """Go on though the beginning of a partition of journeys is lost; its journeys then lack facts (see the runbook state-lost)."""
    clock_skew_ms: int = Field(100, ge=0, le=600_000)
    """How far the clocks of two brokers may be apart, in ms; established time stays behind by it."""
    http_host: str = "127.0.0.1"
    """Address the gateway and the pages listen on; `0.0.0.0` in a container."""
    http_port: int = Field(8_400, ge=0, le=65_535)
    """Port of the gateway and the pages; 0: a free one."""
    worker_port: int = Field(8_401, ge=0, le=65_535)
    """Port of a worker's probes and metrics; 0: a free one."""
    connector_port: int = Field(8_402, ge=0, le=65_535)
    """Port of the probes and metrics of `relais connector run`; 0: a free one."""
    read_model: SecretStr | None = Field(None)
    """Address of the read model, `sqlite:///path` or `postgresql+psycopg://user:password@host/name`; else a file in `data_dir`."""
    alertmanager: str = ""
    """Addresses of the Alertmanagers of one cluster, with commas between; empty: alerts stay on the pages."""
    mail_server: SecretStr | None = Field(None)
    """Server for mail to bodies without software, `smtp://user:password@host:port` or `smtps://…`; empty: nothing is mailed."""
    mail_from: str = Field("", pattern=r"^([^\s@<>]+@[^\s@<>]+)?$")
    """Address that mail comes from; needed with `mail_server`."""
    public_url: str = Field("", pattern=r"^(https?://[^\s?#]+)?$")
    """Address of the pages as people reach them, for the links in mail; empty: no links."""
    bodies_file: Path | None = None
    """File of bodies, their policies and hashed tokens, kept by `relais bodies`; else `bodies.json` in `data_dir`."""
    agents_file: Path | None = None
    """File of people's accounts with hashed passwords, kept by `relais agents`; else `agents.json` in `data_dir`."""
    documents_file: Path | None = None
    """File (YAML) of the store of documents that this gateway gives to their addressees; none: it keeps none."""
    worker_addresses: str = "http://127.0.0.1:8401"
    """Addresses of the workers' probes, `http://host:port` with commas between; the operations page asks them."""
    secure_cookies: bool = False
    """Send the cookies of the pages by HTTPS alone; to be set wherever they are served by HTTPS."""
    log_level: LogLevel = LogLevel.INFO
    """From which severity on the log is written."""

    @field_validator("clock", "log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("reference_key")
    @classmethod
    def _is_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            _decode(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.heartbeat_ms * 3 > self.session_timeout_ms:
            raise ValueError("heartbeat_ms is more than a third of session_timeout_ms: lower it to that at most")
        if self.reference_key is not None and self.reference_key_file is not None:
            raise ValueError("reference_key and reference_key_file are both set: keep one")
        if self.mail_server is not None and not self.mail_from:
            raise ValueError("mail_server is set without mail_from: set the address that mail comes from")
        if self.http_port == self.worker_port != 0:
            raise ValueError("http_port and worker_port are the same: change one")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: what a caller gives, then the environment, then the file."""
        path = Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, path)

    def reference_secret(self) -> bytes:
        """Return the key of the hash of references; raise `SettingsError` when there is none yet."""
        if self.reference_key is not None:
            return _decode(self.reference_key.get_secret_value())
        path = self.reference_key_file or self._generated_key
        try:
            return _decode(path.read_text().strip())
        except FileNotFoundError as error:
            text = f"reference_key: {path} does not exist; `relais up` makes one, or set {PREFIX}REFERENCE_KEY"
            raise SettingsError(text) from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SettingsError(f"reference_key: {path} cannot be used: {reason}") from error

    def ensure_reference_secret(self) -> bytes:
        """Return the key as `reference_secret` does, after making one in `data_dir` where none was chosen yet."""
        path = self._generated_key
        if self.reference_key is None and self.reference_key_file is None and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(f".{os.getpid()}")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(KEY_BYTES) + "\n")
            try:
                os.link(draft, path)  # whoever comes first wins, and nobody reads half a key
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return self.reference_secret()

    def read_model_url(self) -> str:
        """Return the address of the read model; it may hold a password."""
        if self.read_model is not None:
            return self.read_model.get_secret_value()
        return f"sqlite:///{self.data_dir.absolute() / 'read-model.db'}"

    @property
    def bodies_path(self) -> Path:
        """The file of bodies and tokens."""
        return self.bodies_file or self.data_dir / "bodies.json"

    @property
    def agents_path(self) -> Path:
        """The file of people's accounts."""
        return self.agents_file or self.data_dir / "agents.json"

    @property
    def _generated_key(self) -> Path:
        return self.data_dir / "reference.key"


def load(**chosen: Any) -> Settings:
    """Return the settings of this process; `chosen` goes before environment and file. Raise `SettingsError`."""
    if (named := os.environ.get(CONFIG_VARIABLE)) and not Path(named).is_file():
        raise SettingsError(f"{CONFIG_VARIABLE} names {named}, which is not a file: correct it or unset it")
    try:
        return Settings(**chosen)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(dict(one)) for one in error.errors(include_input=False))) from None
    except ValueError as error:  # a file that is not TOML
        path = os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG
        raise SettingsError(f"{path} cannot be read: {error}") from None


def _explain(error: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    field = Settings.model_fields.get(name)
    if field is None:
        known = ", ".join(Settings.model_fields)
        return f"{name}: no such setting; there are {known}" if name else message
    return f"{name} ({PREFIX}{name.upper()}): {message}. {field.description}"


def _decode(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise ValueError("the key is not hexadecimal: write 32 to 128 digits from 0 to f") from None
    if not 16 <= len(key) <= 64:
        raise ValueError("the key has a wrong length: write 32 to 128 hexadecimal digits")
    return key
