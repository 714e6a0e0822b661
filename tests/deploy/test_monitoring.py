"""Metrics and the rules about them: names, closed labels, help; every rule asks for what there is and has its runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

import deploy
from connectors.alerts import alertmanager
from connectors.gateway import app, bus
from connectors.gateway.app import application
from connectors.inbox import feed, forwarder
from connectors.mail import sink as mail
from connectors.pages import site
from connectors.status import sink, sources
from streams import metrics as stages
from streams.runtime import metrics as runtime
from tests.support.loop import BODIES, Town

FOLDER = Path(deploy.__file__).parent
RUNBOOKS = FOLDER / "runbooks"
MODULES = (alertmanager, app, bus, feed, forwarder, mail, site, sink, sources, stages, runtime)
METRICS = {m._name: m for module in MODULES for m in vars(module).values() if isinstance(m, MetricWrapperBase)}
LABELS = {"stage", "partition", "reason", "outcome", "topic", "operation", "page", "status"}
UNITS = ("seconds", "bytes", "records")
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "prometheus" / "rules.yaml").read_text())["groups"][0]["rules"]


def families() -> dict[str, Any]:
    return {f.name: f for f in text_string_to_metric_families(generate_latest(REGISTRY).decode())}


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_metric_follows_the_naming_rules(name: str) -> None:
    metric = METRICS[name]
    family = families()[name]
    assert re.fullmatch(r"relais_[a-z]+(_[a-z]+)*", name)
    assert family.type in ("counter", "gauge", "histogram")
    assert len(family.documentation.split()) > 1
    assert set(metric._labelnames) <= LABELS
    for unit in ("milliseconds", "ms", "kb", "mb", "ratio_percent"):
        assert not name.endswith(f"_{unit}")
    if "timestamp" in name or "seconds" in name:
        assert name.endswith("_seconds")
    if "bytes" in name:
        assert name.endswith("_bytes")


def test_helps_are_told_apart() -> None:
    helps = [m._documentation for m in METRICS.values()]
    assert len(helps) == len(set(helps))


async def test_labels_stay_closed_whatever_is_asked(tmp_path: Path) -> None:
    town = Town(tmp_path)
    transport = httpx2.ASGITransport(application(town.gateway))
    strange = "case:viriat/Zz9"
    async with httpx2.AsyncClient(transport=transport, base_url="http://relais.test") as http:
        headers = {"authorization": f"Bearer {town.tokens['viriat']}"}
        for path in (
            f"/v1/journeys/{strange}",
            f"/v1/inbox/{strange}",
            "/v1/inbox/Zz9",
            f"/{strange}",
            "/v1/inbox?cursor=Zz9",
        ):
            for method in ("GET", "POST", "DELETE", "ZZ9"):
                await http.request(method, path, headers=headers)
        text = (await http.get("/metrics")).text
    town.database.close()
    ours = [s for f in text_string_to_metric_families(text) if f.name.startswith("relais_") for s in f.samples]
    values = {value for s in ours for label, value in s.labels.items() if label != "le"}
    assert all(re.fullmatch(r"[a-z0-9-]{1,40}", value) for value in values)
    assert values.isdisjoint({b.id for b in BODIES} | set(town.tokens.values()))
    assert "Zz9" not in text
    assert 'relais_gateway_answers_total{operation="get-item",status="404"}' in text
    assert "relais_ready 1.0" in text or "relais_ready 0.0" in text


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_asks_for_what_there_is_and_has_its_runbook(rule: dict[str, Any]) -> None:
    known = {"up"} | {name for f in families().values() for name in (f.name, *(s.name for s in f.samples))}
    known |= {f"{name}_total" for name, metric in METRICS.items() if metric._type == "counter"}
    known -= {name for name, metric in METRICS.items() if metric._type == "counter"}
    named = set(re.findall(r"\b(?:relais_[a-z_]+|up)\b", rule["expr"]))
    assert named
    assert named <= known
    for name, matchers in re.findall(r"(relais_[a-z_]+)\{([^}]*)\}", rule["expr"]):
        metric = METRICS[name.removesuffix("_total")]
        for label, values in re.findall(r'([a-z]+)(?:=~?|!~|!=)"([^"]*)"', matchers):
            assert label in metric._labelnames
            seen = {s.labels[label] for s in families()[metric._name].samples if label in s.labels}
            assert label in ("status", "operation") or set(values.split("|")) <= seen
    for labels in re.findall(r"by \(([a-z, ]+)\)", rule["expr"]):
        assert set(labels.split(", ")) <= {label for name in named for label in _labels(name)}
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert re.fullmatch(r"Relais[A-Z][A-Za-z]+", rule["alert"])
    assert {"summary", "description", "runbook"} == rule["annotations"].keys()
    text = (FOLDER.parent / rule["annotations"]["runbook"]).read_text()
    assert text.startswith(f"# {rule['alert']}\n\n> **En bref.** ")
    assert "\n## What to do\n\n1. " in text
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (RUNBOOKS / link).is_file()


def _labels(name: str) -> tuple[str, ...]:
    metric = METRICS.get(name.removesuffix("_total"))
    return tuple(metric._labelnames) if metric else ()


def test_every_runbook_has_its_rule() -> None:
    named = {Path(rule["annotations"]["runbook"]).name for rule in RULES}
    assert {path.name for path in RUNBOOKS.glob("*.md")} == named
    assert len(named) == len(RULES)


def test_what_runbooks_lean_on_is_there() -> None:
    from deploy.settings import PREFIX, Settings  # noqa: PLC0415

    text = "".join(path.read_text() for path in RUNBOOKS.glob("*.md"))
    settings = {name.removeprefix(PREFIX).lower() for name in re.findall(rf"{PREFIX}[A-Z_]+", text)}
    assert settings
    assert settings <= Settings.model_fields.keys()
    metrics = {name.removesuffix("_total") for name in re.findall(r"relais_[a-z_]+", text)}
    assert metrics <= METRICS.keys()
    sources = "".join(p.read_text() for name in ("streams", "connectors") for p in (FOLDER.parent / name).rglob("*.py"))
    for said in (
        "a view failed",
        "the gateway failed",
        "the read model cannot be filled now",
        "an inbox is not fed now",
    ):
        assert said in text
        assert said in sources


def test_the_example_of_a_configuration_reads_the_rules() -> None:
    folder = FOLDER / "prometheus"
    document = yaml.safe_load((folder / "prometheus.yaml").read_text())
    assert all((folder / name).is_file() for name in document["rule_files"])
    jobs = [job["job_name"] for job in document["scrape_configs"]]
    assert all(re.fullmatch("relais-.*", job) for job in jobs)
