"""Check what no linter does: files stay short, and none names a package registry or a place on somebody's machine."""

import re
import subprocess
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 400
MEDIAN_LINES = 150
REGISTRY = re.compile(
    r"\b(?:pypi|pythonhosted|npmjs|rubygems|anaconda)\.(?:org|com)\b|\brepo1?\.maven\b|\bcrates\.io\b"
    r"|\bproxy\.golang\b|\b(?:deb|security)\.debian\b"
)
PLACE = re.compile(r"(?<![\w.}])/(?:home|Users|root)/\w")


def files() -> list[Path]:
    """Return the files of the project, those not committed yet too."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return sorted({ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def faults(path: Path, text: str) -> list[str]:
    """Return what is wrong with one file, with the line."""
    found = []
    here = f"{ROOT}/" if len(ROOT.parts) > 2 else None
    for number, line in enumerate(text.splitlines(), 1):
        if REGISTRY.search(line):
            found.append(f"{path}:{number}: names a package registry; leave that to the machine's configuration")
        if PLACE.search(line) or (here and here in line):
            found.append(f"{path}:{number}: names a place on a machine; write it relative")
    return found


def main() -> int:
    """Check all files; return the exit code."""
    found: list[str] = []
    lengths: list[int] = []
    for path in files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        name = path.relative_to(ROOT)
        found += faults(name, text)
        if path.suffix == ".py":
            lengths.append(text.count("\n"))
            if lengths[-1] > MOST_LINES:
                found.append(f"{name}: {lengths[-1]} lines, {MOST_LINES} at most: split it")
    if lengths and median(lengths) > MEDIAN_LINES:
        found.append(f"the median Python file has {median(lengths):.0f} lines, {MEDIAN_LINES} at most")
    print(*found, sep="\n", end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
