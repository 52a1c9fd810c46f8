"""Frozen weights on disk: one member of a league is `<name>.npz` plus `<name>.json`, hash-checked, never overwritten.

The npz holds plain arrays (`allow_pickle=False`: loading never runs code); the json says what they are and carries a
SHA-256 over both. The json is written last, so a member exists exactly when its json does, and a process killed
half-way leaves no half member behind. Every problem ends in one sentence, a `SnapshotError`.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import uuid
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from arena.layout import STRICT

Weights = Mapping[str, np.ndarray]
NAME = re.compile(r"^[a-z][a-z0-9_-]{0,79}$")
NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


class SnapshotError(ValueError):
    """A member cannot be stored or read; the message is one sentence for the user."""


class SnapshotExistsError(SnapshotError):
    """Another member of that name is already stored."""


@dataclass(frozen=True)
class Member:
    """A frozen member: its weights and where they come from."""

    name: str
    role: str
    iteration: int
    scenario_hash: str
    weights: Weights
    parent: str | None = None  # the member it was cloned from or tested against
    is_exploiter: bool = False  # trained against the newest member only; never anybody's incumbent
    passive: bool = False  # did not trade when it was judged


class MemberFile(BaseModel):
    """What a member's json file says."""

    model_config = STRICT

    schema_version: int = Field(
        2, ge=1, le=2, description="version of this file format; 2 may hold networks that choose"
    )
    name: str = Field(pattern=NAME.pattern, description="name of the member and of its two files")
    role: str = Field(description="role whose seats it can take")
    iteration: int = Field(ge=0, description="training iteration at which it was frozen")
    parent: str | None = Field(description="member it was cloned from or tested against")
    scenario_hash: str = Field(description="SHA-256 of the scenario it was trained in")
    is_exploiter: bool = Field(description="trained against the newest member only")
    passive: bool = Field(description="did not trade when it was judged")
    parameters: int = Field(ge=0, description="numbers in the npz file")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="hash of the other fields and of the npz file's bytes")


def digest(weights: Weights) -> str:
    """SHA-256 of names, types, shapes and values: equal exactly when two holders have the same weights."""
    total = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        total.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def write(folder: Path, snapshot: Member) -> MemberFile:
    """Store a member; storing the identical one again is allowed and does nothing.

    Raises SnapshotExistsError when another member of that name is there (nothing is overwritten), SnapshotError for a
    bad name, non-finite or non-numeric weights, or a folder that cannot be written.
    """
    if not NAME.match(snapshot.name):
        raise SnapshotError(f"member name '{snapshot.name}'; allowed: {NAME.pattern}")
    for name, array in snapshot.weights.items():
        if array.dtype.kind not in "fiub" or (array.dtype.kind == "f" and not np.all(np.isfinite(array))):
            raise SnapshotError(f"weights '{name}' of {snapshot.name} ({array.dtype}) must be finite numbers")
    buffer = io.BytesIO()
    # Sorted names and the zip format's fixed date make equal weights equal bytes.
    np.savez(buffer, **{name: np.ascontiguousarray(snapshot.weights[name]) for name in sorted(snapshot.weights)})  # type: ignore[arg-type]
    data = buffer.getvalue()
    fields = {name: getattr(snapshot, name) for name in MemberFile.model_fields if hasattr(snapshot, name)}
    fields["parameters"] = sum(array.size for array in snapshot.weights.values())
    record = MemberFile(**fields, sha256="0" * 64)
    record = record.model_copy(update={"sha256": _hash(record, data)})
    arrays, about = folder / f"{snapshot.name}.npz", folder / f"{snapshot.name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in ((arrays, data), (about, (record.model_dump_json(indent=2) + "\n").encode())):
            try:
                _create(path, content)
            except FileExistsError:
                if path.read_bytes() != content:
                    raise SnapshotExistsError(f"{path} already holds another member; nothing was overwritten") from None
    except OSError as trouble:
        raise SnapshotError(f"cannot store member {snapshot.name} in {folder}: {trouble.strerror or trouble}") from None
    return record


def read_record(folder: Path, name: str) -> MemberFile:
    """What is stored about a member; raises SnapshotError when there is no such member or its json is damaged."""
    path = folder / f"{name}.json"
    try:
        return MemberFile.model_validate_json(path.read_bytes())
    except OSError as trouble:
        raise SnapshotError(f"{path}: no readable member ({trouble.strerror or trouble})") from None
    except ValidationError as trouble:
        first = trouble.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SnapshotError(f"{path}: damaged member file ({f'{where}: ' if where else ''}{first['msg']})") from None


def read(folder: Path, name: str, sha256: str | None = None) -> Member:
    """Load a stored member, its arrays read-only.

    Raises SnapshotError when a file is missing or damaged, or when it is not the member with the hash `sha256`.
    """
    record = read_record(folder, name)
    path = folder / f"{name}.npz"
    try:
        data = path.read_bytes()
    except OSError as trouble:
        raise SnapshotError(f"{path}: weights of member {name} are missing ({trouble.strerror or trouble})") from None
    if record.name != name or _hash(record, data) != record.sha256:
        raise SnapshotError(f"{path}: damaged member (SHA-256 differs from {name}.json); restore or drop both files")
    if sha256 not in (None, record.sha256):
        raise SnapshotError(f"{path}: another member than the one this run stored; restore the run's own files")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            weights = {key: stored[key] for key in stored.files}
    except (ValueError, OSError, zipfile.BadZipFile) as trouble:  # not written by us, although the hash fits
        raise SnapshotError(f"{path}: damaged member ({trouble})") from None
    for array in weights.values():
        array.flags.writeable = False
    about = record.model_dump(exclude={"schema_version", "parameters", "sha256"})
    return Member(weights=weights, **about)


def replace(path: Path, content: bytes) -> None:
    """Write a file that may exist already so that readers see the old or the new content, never a part."""
    temporary = _temporary(path, content)
    try:
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _hash(record: MemberFile, data: bytes) -> str:
    about = json.dumps(record.model_dump(exclude={"sha256"}), sort_keys=True)
    return hashlib.sha256(about.encode() + b"\n" + data).hexdigest()


def _create(path: Path, content: bytes) -> None:
    """Create a file in one step with its content; raises FileExistsError when the name is taken."""
    temporary = _temporary(path, content)
    try:
        os.link(temporary, path)  # unlike a rename, a link never replaces
    except OSError as trouble:
        if trouble.errno not in NO_HARD_LINKS:
            raise
        with open(path, "xb") as file:  # not in one step, but still never over another file; the hash guards the rest
            file.write(content)
    finally:
        temporary.unlink(missing_ok=True)


def _temporary(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    with open(temporary, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary
