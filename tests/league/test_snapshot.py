import errno
import json
import os

import numpy as np
import pytest

from arena.league import snapshot
from arena.league.snapshot import Member, SnapshotError, SnapshotExistsError, digest, read, read_record, write


def member(value: float = 1.0, **changes) -> Member:
    weights = {"policy.0.weight": np.full((3, 2), value, np.float32), "relu": np.array(True), "n": np.arange(3)}
    given = {"name": "maker-000010", "role": "maker", "iteration": 10, "scenario_hash": "ab", "weights": weights}
    return Member(**{**given, **changes})


def is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def test_a_member_comes_back_as_it_was_written(tmp_path):
    written = member(parent="maker-000000", is_exploiter=True, passive=True)
    record = write(tmp_path / "league", written)
    back = read(tmp_path / "league", "maker-000010", record.sha256)
    assert digest(back.weights) == digest(written.weights)
    assert (back.parent, back.is_exploiter, back.passive, back.iteration) == ("maker-000000", True, True, 10)
    assert back.weights["policy.0.weight"].dtype == np.float32
    assert record.parameters == 10
    with pytest.raises(ValueError, match="read-only"):
        back.weights["n"][0] = 5


def test_digest_sees_names_types_shapes_and_values():
    base = {"a": np.zeros((2, 3), np.float32)}
    others = [
        {"b": np.zeros((2, 3), np.float32)},
        {"a": np.zeros((2, 3))},
        {"a": np.zeros((3, 2), np.float32)},
        {"a": np.full((2, 3), -0.0, np.float32)},
    ]
    assert all(digest(other) != digest(base) for other in others)
    assert digest({"a": np.zeros((3, 2), np.float32).T}) == digest(base)


def test_the_same_member_may_be_stored_twice_but_another_never_overwrites_it(tmp_path):
    first = write(tmp_path, member())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert write(tmp_path, member()) == first
    with pytest.raises(SnapshotExistsError, match="nothing was overwritten"):
        write(tmp_path, member(2.0))
    with pytest.raises(SnapshotExistsError):
        write(tmp_path, member(passive=True))  # same weights, other record
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before  # no temporary file left either


def test_a_run_killed_between_the_two_files_leaves_no_member_and_can_write_it_again(tmp_path):
    write(tmp_path, member())
    (tmp_path / "maker-000010.json").unlink()
    with pytest.raises(SnapshotError, match="no readable member"):
        read(tmp_path, "maker-000010")
    write(tmp_path, member())
    assert read(tmp_path, "maker-000010").iteration == 10


@pytest.mark.parametrize("suffix", ["npz", "json"])
def test_any_flipped_byte_is_found_and_told_in_one_sentence(tmp_path, suffix):
    write(tmp_path, member())
    path = tmp_path / f"maker-000010.{suffix}"
    good = path.read_bytes()
    for position in range(0, len(good), max(1, len(good) // 40)):
        bad = bytearray(good)
        bad[position] ^= 0x15
        path.write_bytes(bytes(bad))
        if suffix == "json" and good[position : position + 1].isspace() and is_json(bytes(bad)):
            continue  # white space between fields is the one thing that may change
        with pytest.raises(SnapshotError, match="maker-000010") as trouble:
            read(tmp_path, "maker-000010")
        assert "\n" not in str(trouble.value)
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(SnapshotError, match="damaged"):
        read(tmp_path, "maker-000010")


def test_a_stored_pickle_is_never_run(tmp_path):
    with pytest.raises(SnapshotError, match="finite numbers"):
        write(tmp_path, member(weights={"w": np.array([{}], dtype=object)}))
    np.savez(tmp_path / "evil.npz", w=np.array([{}], dtype=object))
    record = write(tmp_path, member())
    data = (tmp_path / "evil.npz").read_bytes()
    forged = record.model_copy(update={"sha256": snapshot._hash(record, data)})
    (tmp_path / "maker-000010.npz").write_bytes(data)
    (tmp_path / "maker-000010.json").write_text(forged.model_dump_json())
    with pytest.raises(SnapshotError, match="damaged"):
        read(tmp_path, "maker-000010")


@pytest.mark.parametrize("name", ["", "../up", "A", "a/b", "a b", "x" * 81, "a.npz"])
def test_names_that_could_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(SnapshotError, match="allowed"):
        write(tmp_path, member(name=name))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_weights_are_refused(tmp_path, bad):
    with pytest.raises(SnapshotError, match="finite"):
        write(tmp_path, member(bad))


def test_another_member_under_the_expected_name_is_noticed(tmp_path):
    write(tmp_path, member())
    with pytest.raises(SnapshotError, match="another member"):
        read(tmp_path, "maker-000010", "0" * 64)


def test_an_unusable_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SnapshotError, match="cannot store member maker-000010"):
        write(tmp_path / "file", member())
    with pytest.raises(SnapshotError, match="no readable member"):
        read_record(tmp_path / "file", "maker-000010")


def test_file_systems_without_hard_links_work_and_still_never_overwrite(tmp_path, monkeypatch):
    def refuse(*_args):
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    write(tmp_path, member())
    with pytest.raises(SnapshotExistsError):
        write(tmp_path, member(2.0))
    assert read(tmp_path, "maker-000010").weights["policy.0.weight"][0, 0] == 1
    assert not list(tmp_path.glob(".*"))


def test_replace_swaps_a_file_whole(tmp_path):
    path = tmp_path / "league.json"
    for content in (b"one", b"two"):
        snapshot.replace(path, content)
        assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["league.json"]
