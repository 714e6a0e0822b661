"""Compare the skipped tests of a JUnit report with the short list of those that may be: `skips.py report list`."""

import sys
from pathlib import Path
from xml.etree import ElementTree


def skipped(report: Path) -> dict[str, str]:
    """Return the skipped tests of a report, without parameters, with their reasons; expected failures are not skips."""
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - our own report
        skip = case.find("skipped")
        if skip is not None and skip.get("type") != "pytest.xfail":
            module = case.get("classname") or "collection"
            found[f"{module}::{case.get('name', '').partition('[')[0]}"] = skip.get("message", "")
    return found


def allowed(path: Path) -> set[str]:
    """Return the names on the list; each line needs its reason."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    pairs = [line.partition(": ") for line in lines]
    if bare := [line for line, (name, _, reason) in zip(lines, pairs, strict=True) if not name or not reason.strip()]:
        sys.exit(f"{path}: without a reason: {bare[0]}")
    return {name.strip() for name, _, _ in pairs}


def main(report: str, listed: str) -> int:
    """Tell the skips that are not on the list; return the exit code."""
    known = allowed(Path(listed))
    surplus = {name: reason for name, reason in skipped(Path(report)).items() if name not in known}
    for name, reason in sorted(surplus.items()):
        sys.stderr.write(f"skipped and not on the list of allowed skips: {name}: {reason}\n")
    return 1 if surplus else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
