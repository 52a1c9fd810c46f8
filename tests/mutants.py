"""Does the suite notice when the referee is wrong? One-line changes of what judges, and the tests that must fail.

    python tests/mutants.py              all of them, most of an hour; writes docs/notes/mutants.md
    python tests/mutants.py surrogate    those with one of these words in their file or claim; writes nothing

The list is `tests/mutants.toml`, by file: the claim that the line keeps, its text, the text that breaks it, and the
tests (`file` or `file::name`) that must notice. Each mutant is applied to a copy of the tree in a temporary folder, its
tests run there until the first failure, and the file is put back. Killed means that a test failed; a mutant with which
the tests cannot even be collected shows nothing and is an error. Exit code 1 where less than `LEAST` of the mutants are
killed, 2 where list or suite are wrong. `tests/test_mutants.py` keeps the list in step with the source.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIST, PAGE = "tests/mutants.toml", "docs/notes/mutants.md"
LEAST, NOBODY = 0.95, "**nobody**"
LONGEST = 1800
"""Seconds after which tests that do not end count as failed."""
COPIED = ("agents", "arena", "benchmarks", "docs", "examples", "scenarios", "tests", "pyproject.toml", "README.md")


class Mutant(NamedTuple):
    """A claim, the file and the text in it that keep it, the text that breaks it, the tests that notice."""

    file: str
    claim: str
    old: str
    new: str
    tests: tuple[str, ...]

    def mistakes(self) -> list[str]:
        """What is wrong with this entry, in sentences."""
        path = ROOT / self.file
        where = f"{LIST}: {self.file}: {self.claim}"
        if not path.is_file():
            return [f"{where}: no such file"]
        times = path.read_text(encoding="utf-8").count(self.old)
        found = []
        if times != 1:
            found.append(f"{where}: found the old text {times} times; allowed is once: {self.old}")
        if self.new == self.old or "\n" in self.old + self.new:
            found.append(f"{where}: old and new text must be one line each, and differ")
        for test in self.tests:
            file, _, name = test.partition("::")
            text = (ROOT / file).read_text(encoding="utf-8") if (ROOT / file).is_file() else ""
            if not re.search(rf"^def {name or 'test_'}", text, re.MULTILINE):
                found.append(f"{where}: no such test: {test}")
        return found


class Outcome(NamedTuple):
    """What the tests said: the first that failed, or none."""

    mutant: Mutant
    killer: str
    seconds: float


def mutants() -> list[Mutant]:
    """The list."""
    table = tomllib.loads((ROOT / LIST).read_text(encoding="utf-8"))
    return [
        Mutant(file, one["claim"], one["old"], one["new"], tuple(one["tests"]))
        for file, entries in table.items()
        for one in entries
    ]


class Suite:
    """A copy of the tree in which files are broken and tests run."""

    def __init__(self, tree: Path):
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / name, tree / name)
        self.tree = tree
        self.environment = {**os.environ, "NUMBA_CACHE_DIR": str(tree / ".kernels"), "PYTHONPATH": str(tree)}
        code = "import arena; print(arena.__file__)"
        told = subprocess.run(
            [sys.executable, "-c", code], cwd=tree, env=self.environment, capture_output=True, text=True
        )
        source = told.stdout.strip()
        assert Path(source).is_relative_to(tree), f"the tests would import {source}, not the copy"

    def run(self, tests: Sequence[str]) -> tuple[int, str]:
        """pytest's exit code, and the first test that failed."""
        command = [sys.executable, "-m", "pytest", "-x", "-n", "0", "-o", f"timeout={LONGEST}", *tests]
        try:
            done = subprocess.run(
                command, cwd=self.tree, env=self.environment, capture_output=True, text=True, timeout=2 * LONGEST
            )
        except subprocess.TimeoutExpired:
            return 1, "no end"
        failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        return done.returncode, failed[1] if failed else done.stdout[-2000:] + done.stderr[-2000:]

    def try_out(self, mutant: Mutant) -> tuple[int, str]:
        """The same with a mutant in place."""
        path = self.tree / mutant.file
        text, times = path.read_text(encoding="utf-8"), path.stat()
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        try:
            return self.run(mutant.tests)
        finally:
            path.write_text(text, encoding="utf-8")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def page(outcomes: Sequence[Outcome]) -> str:
    """The table of docs/notes/mutants.md."""
    killed = sum(bool(one.killer) for one in outcomes)
    lines = [
        "# Mutants of the referee",
        "",
        "<!-- written by tests/mutants.py -->",
        "",
        "Each mutant breaks one claim of what judges, by a change of one line of its source.",
        f"{killed} of {len(outcomes)} are noticed by a test.",
        f"`make mutants` makes this table anew from `{LIST}`. It is not part of CI: it takes most of an hour.",
        "",
        "| claim that is broken | file | noticed by |",
        "|---|---|---|",
    ]
    for mutant, killer, _ in outcomes:
        noticed = f"`{killer.split('::')[-1].split('[')[0]}`" if killer else NOBODY
        lines.append(f"| {mutant.claim} | `{mutant.file}` | {noticed} |")
    return "\n".join(lines) + "\n"


def main(words: Sequence[str]) -> int:
    """Try the mutants that have one of the words, or all; the exit code."""
    chosen = [one for one in mutants() if not words or any(word in f"{one.file} {one.claim}" for word in words)]
    mistakes = [mistake for one in chosen for mistake in one.mistakes()]
    if mistakes or not chosen:
        print("\n".join(mistakes) or f"no mutant has any of these words: {', '.join(words)}", file=sys.stderr)
        return 2
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        suite = Suite(Path(folder) / "tree")
        tests = sorted({test for one in chosen for test in one.tests})
        print(f"{len(chosen)} mutants; first their tests without any ...", flush=True)
        code, failed = suite.run(tests)
        if code:
            print(f"the tests must pass before anything is broken: {failed}", file=sys.stderr)
            return 2
        for number, mutant in enumerate(chosen, 1):
            begun = time.perf_counter()
            code, failed = suite.try_out(mutant)
            if code not in (0, 1):
                print(f"{LIST}: {mutant.file}: {mutant.claim}: pytest ended with {code}: {failed}", file=sys.stderr)
                return 2
            outcomes.append(Outcome(mutant, failed if code else "", time.perf_counter() - begun))
            verdict = f"killed by {failed}" if code else "SURVIVED"
            print(f"{number:3}/{len(chosen)} {outcomes[-1].seconds:5.0f} s  {mutant.claim}: {verdict}", flush=True)
    killed = sum(bool(one.killer) for one in outcomes)
    print(f"{killed} of {len(outcomes)} killed, {100 * killed / len(outcomes):.1f} %; needed are {100 * LEAST:.0f} %")
    if not words:
        (ROOT / PAGE).write_text(page(outcomes), encoding="utf-8")
    return int(killed < LEAST * len(outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
