"""The house's own checks fire when they must."""

import importlib.util
import re
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def _script(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("https://" + "py" + "pi.org/simple", 1),
        ("repo1" + ".maven.example", 1),
        ("cd /" + "home/somebody", 1),
        (f"{ROOT}/" + "schemas", 1),
        ("$HOME/home/page and ~/.cache, a Maven coordinate org.apache.kafka:kafka_2.13", 0),
    ],
)
def test_registries_and_places_are_found(line: str, count: int) -> None:
    assert len(_script("tests/check_files.py").faults(Path("x"), f"one\n{line}\n")) == count


def test_a_skip_that_is_not_on_the_list_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, listed = tmp_path / "report.xml", tmp_path / "list"
    report.write_text(
        '<testsuite><testcase classname="tests.a" name="test_x[1]"><skipped message="no"/></testcase>'
        '<testcase classname="tests.a" name="test_y"><skipped type="pytest.xfail" message="known"/></testcase>'
        '<testcase classname="tests.a" name="test_z"/></testsuite>'
    )
    listed.write_text("# nothing yet\n")
    skips = _script(".ci/skips.py")
    assert skips.main(str(report), str(listed)) == 1
    assert "tests.a::test_x: no" in capsys.readouterr().err
    listed.write_text("tests.a::test_x: there is no such program here\n")
    assert skips.main(str(report), str(listed)) == 0
    listed.write_text("tests.a::test_x\n")
    with pytest.raises(SystemExit, match="without a reason"):
        skips.main(str(report), str(listed))


def _installed_beside(name: str, extras: frozenset[str], found: set[str]) -> set[str]:
    """Packages that a package brings with it, those of its extras too, as far as they are installed here."""
    for text in requires(name) or ():
        wanted = Requirement(text)
        if wanted.marker is not None and not any(wanted.marker.evaluate({"extra": extra}) for extra in extras | {""}):
            continue
        try:
            plain = metadata(wanted.name)["Name"]
        except PackageNotFoundError:
            continue
        if plain not in found:
            found.add(plain)
            _installed_beside(plain, frozenset(wanted.extras), found)
    return found


def test_licences_that_ask_for_more_than_a_name_are_in_the_notice() -> None:
    extras = frozenset({"files", "local", "mail", "mariadb", "postgresql", "soap"})
    found = _installed_beside("relais", extras, set())
    assert len(found) > 30
    named = set(re.findall(r"^  ([a-z0-9-]+) {2,}", (ROOT / "NOTICE").read_text(encoding="utf-8"), re.MULTILINE))
    asking = set()
    for name in found:
        told = metadata(name)
        lines = [told.get("License-Expression") or (told.get("License") or "").partition("\n")[0]]
        lines += [line for line in told.get_all("Classifier") or () if line.startswith("License ::")]
        if any(re.search(r"GPL|EPL|MPL|CDDL|EUPL|Mozilla|Eclipse|General Public", line) for line in lines):
            asking.add(name.lower().replace("_", "-"))
    assert asking == named
