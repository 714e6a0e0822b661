"""The house's own checks fire when they must."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

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
