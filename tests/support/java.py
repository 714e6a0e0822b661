"""Java for tests: what the local broker brings, a compiler, and Apache Avro, each file checked against its digest."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from deploy.kafka_jars import Jar, jars, java

AVRO = Jar("org.apache.avro", "avro", "1.12.0", "1f5fbfff9b7427d6832cc3031a3c81413d3e21d9e2551847d9231c28493f9492")
COMPILER = Jar("org.eclipse.jdt", "ecj", "3.41.0", "47bda183cd94a8bdb704f5b35690224f75b7d2fb563c8b8f9bbcfab987c3029b")
"""The runtime that the package index brings has no compiler; this one needs none."""
USED = ("avro-", "jackson-", "slf4j-api")


def compiled(source: Path, to: Path) -> str:
    """Compile one file; the class path with which to run it."""
    found = jars(further=(AVRO, COMPILER))
    compiler = next(jar for jar in found if jar.name.startswith("ecj-"))
    path = ":".join([str(to), *(str(jar) for jar in found if jar.name.startswith(USED))])
    command = [
        str(java()),
        "-jar",
        str(compiler),
        "-source",
        "17",
        "-target",
        "17",
        "-nowarn",
        "-d",
        str(to),
        "-cp",
        path,
    ]
    subprocess.run([*command, str(source)], check=True, timeout=60)
    return path


def run(path: str, name: str, arguments: Iterable[str], given: str) -> str:
    """Run a class of a class path; what it prints."""
    command = [
        str(java()),
        "-XX:TieredStopAtLevel=1",
        "-Dslf4j.internal.verbosity=ERROR",
        "-cp",
        path,
        name,
        *arguments,
    ]
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
