"""A run's folder: written so that a kill at any moment loses at most the iteration in progress.

    runs/<scenario>/<utc>-<seed>/   scenario.resolved.yaml  provenance.json  metrics.jsonl  tb/  checkpoints/last/  …

Files are written beside their place and renamed; a checkpoint is a folder written as `next`, then swapped with `last`.
Lines of metrics.jsonl that are newer than the checkpoint are dropped on resume, so that no iteration appears twice.
"""

import contextlib
import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from arena.scenario import Scenario, ScenarioError, dump, loads

START = "start"
"""Folder of a run whose learning starts from given weights: `<role>.npz` and `.json`, as members of a league."""
RUN_VERSION = 1
"""Format of a run folder; raised when an older program could not read what a newer one writes."""
SCENARIO, PROVENANCE, STATUS = "scenario.resolved.yaml", "provenance.json", "status.json"
METRICS, GAPS, CHECKPOINTS, MANIFEST = "metrics.jsonl", "nash_gap.jsonl", "checkpoints", "manifest.json"


class RunFolderError(ValueError):
    """A run folder that cannot be used, in one sentence."""


class RunFolder:
    """Paths and atomic writing of one run."""

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def create(cls, out: Path, scenario: Scenario, argv: list[str]) -> "RunFolder":
        """A new folder under out/<scenario>/; raises RunFolderError when it cannot be written."""
        stamp = datetime.now(UTC)
        seed = scenario.training.seed
        for attempt in range(1000):
            tail = f"-{attempt}" if attempt else ""
            path = (out / scenario.name / f"{stamp:%Y%m%dT%H%M%SZ}-{seed}{tail}").absolute()
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:
                continue
            except OSError as error:
                raise RunFolderError(
                    f"{out}: cannot make a run folder ({error.strerror}); allowed is a folder you can write to"
                ) from None
        else:
            raise RunFolderError(f"{out}: a thousand runs started in this second; wait for the next one")
        run = cls(path)
        run.write_text(SCENARIO, dump(scenario))
        run.write_json(PROVENANCE, provenance(scenario, argv, stamp))
        return run

    @classmethod
    def open(cls, path: str | Path) -> tuple["RunFolder", Scenario]:
        """An existing run and its scenario; raises RunFolderError with the reason when it cannot be continued."""
        run = cls(Path(path).absolute())
        if not run.path.is_dir():
            raise RunFolderError(f"{path}: no such run folder; allowed is a folder that a run wrote")
        for name in (SCENARIO, PROVENANCE):
            if not (run.path / name).is_file():
                raise RunFolderError(f"{path}: {name} is missing; allowed is a folder that a run wrote")
        try:
            past = json.loads((run.path / PROVENANCE).read_text(encoding="utf-8"))
            version = past["run_version"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunFolderError(f"{path}: {PROVENANCE} cannot be read ({type(error).__name__})") from None
        if version != RUN_VERSION:
            raise RunFolderError(f"{path}: run folder of version {version}; this program reads version {RUN_VERSION}")
        try:
            scenario = loads((run.path / SCENARIO).read_text(encoding="utf-8"), source=str(run.path / SCENARIO))
        except (OSError, UnicodeDecodeError) as error:
            raise RunFolderError(f"{path}: {SCENARIO} cannot be read ({type(error).__name__})") from None
        except ScenarioError as error:
            raise RunFolderError(str(error)) from None
        if past.get("scenario_hash") != scenario.hash:
            raise RunFolderError(f"{path}: {SCENARIO} was changed after the run began; start a new run instead")
        return run, scenario

    def write_text(self, name: str, text: str) -> None:
        """Replace a file in one step."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(target.name + ".next")
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)

    def write_json(self, name: str, value: Any) -> None:
        """Replace a JSON file in one step; numbers that are not finite become null."""
        self.write_text(name, json.dumps(plain(value), indent=1, allow_nan=False) + "\n")

    def add_line(self, name: str, value: Mapping[str, Any]) -> None:
        """Append one JSON line."""
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain(value), allow_nan=False) + "\n")
            file.flush()

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The JSON lines that can be read; a last line cut short by a kill is left out."""
        path = self.path / name
        if not path.is_file():
            return []
        out = []
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                out.append(json.loads(text))
        return [line for line in out if isinstance(line, dict)]

    def drop_lines_after(self, name: str, iteration: int) -> None:
        """Keep the lines up to and including an iteration."""
        if (self.path / name).is_file():
            kept = [line for line in self.lines(name) if line.get("iteration", 0) <= iteration]
            self.write_text(name, "".join(json.dumps(line, allow_nan=False) + "\n" for line in kept))

    def status(self) -> dict[str, Any]:
        """How far the run came, as its last process left it; empty while it never came to an end."""
        try:
            found = json.loads((self.path / STATUS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def save_checkpoint(self, save: Callable[[str], Any]) -> None:
        """Let `save` fill a new folder, then put it in the place of the last checkpoint; every file's hash is kept."""
        folder = self.path / CHECKPOINTS
        folder.mkdir(exist_ok=True)
        new, last, old = folder / "next", folder / "last", folder / "before"
        for stale in (new, old):
            shutil.rmtree(stale, ignore_errors=True)
        save(str(new))
        self.write_json(f"{CHECKPOINTS}/next/{MANIFEST}", _hashes(new))
        if last.exists():
            last.rename(old)
        new.rename(last)
        shutil.rmtree(old, ignore_errors=True)

    def checkpoint(self) -> Path | None:
        """The newest whole checkpoint, or none; a kill between two renames leaves the one before.

        Raises RunFolderError when its files are not what was written.
        """
        for name in ("last", "before"):
            path = self.path / CHECKPOINTS / name
            if not path.is_dir():
                continue
            try:
                kept = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
                found = {file: hash_ for file, hash_ in _hashes(path).items() if file != MANIFEST}
            except (OSError, ValueError):
                kept, found = None, {}
            if kept != found:
                raise RunFolderError(f"{path}: the checkpoint is damaged; its files are not what was written")
            return path
        return None

    @contextlib.contextmanager
    def lock(self, doing: str = "training") -> Iterator[None]:
        """Hold the folder for one process; raises RunFolderError when another one that lives holds it."""
        path, own = self.path / "running.pid", self.path / f"running.{os.getpid()}"
        self.write_text(own.name, str(os.getpid()))
        try:
            while True:
                with contextlib.suppress(FileExistsError):
                    os.link(own, path)  # in one step with its content; unlike a rename it never replaces
                    break
                holder = 0
                with contextlib.suppress(OSError, ValueError):
                    holder = int(path.read_text())
                if holder not in (0, os.getpid()) and _alive(holder):
                    raise RunFolderError(f"{self.path}: process {holder} is {doing} here; wait for it or stop it")
                path.unlink(missing_ok=True)
        finally:
            own.unlink(missing_ok=True)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


class TensorBoard:
    """Scalars of the run for TensorBoard."""

    def __init__(self, run: RunFolder):
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(logdir=str(run.path / "tb"), flush_secs=30)

    def write(self, line: Mapping[str, Any]) -> None:
        """One iteration's numbers; what is not a finite number is left out."""
        for key, value in line.items():
            if isinstance(value, int | float) and math.isfinite(value) and key != "iteration":
                self.writer.add_scalar(key, value, line["iteration"])

    def close(self) -> None:
        """Flush and close."""
        self.writer.close()


def provenance(scenario: Scenario, argv: list[str], started: datetime) -> dict[str, Any]:
    """Where a run comes from: code, versions, seed, command line, machine."""
    names = ("option-arena", "ray", "torch", "numpy", "numba", "pettingzoo", "pydantic", "scipy")
    versions = {"python": platform.python_version()}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "run_version": RUN_VERSION,
        "scenario": scenario.name,
        "scenario_hash": scenario.hash,
        "seed": scenario.training.seed,
        "argv": argv,
        "started": started.isoformat(timespec="seconds"),
        "git": git_state(),
        "versions": versions,
        "machine": {"system": platform.system(), "processor": platform.machine(), "cpus": os.cpu_count()},
    }


def git_state() -> dict[str, Any] | None:
    """Commit of the source, and whether files differ from it; none outside a repository."""
    here = Path(__file__).resolve().parent

    def ask(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return {
            "commit": ask("rev-parse", "HEAD"),
            "changed": bool(ask("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.SubprocessError):
        return None


def plain(value: Any) -> Any:
    """The same in JSON's own types: arrays as lists, NaN and infinity as null."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(one) for one in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _alive(process: int) -> bool:
    """Whether a process of that number runs on this machine."""
    if sys.platform == "win32":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
