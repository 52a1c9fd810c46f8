"""python -m arena.calibrate: what was simulated is found, messages become the right types, mistakes are sentences."""

import gzip
import json
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from arena.calibrate import _guarded
from arena.markets.book.calibration import lobster, orders, own_log
from arena.markets.book.calibration.log import LogError, resolution
from arena.markets.book.events import NAMES
from arena.markets.book.market import Market
from arena.markets.book.theory.flow import process_of
from arena.scenario import load
from tests.solvers.hawkes.simulated import clusters

FLOW = process_of(Market.model_validate({"flow": {"preset": "hawkes_exp"}}))
HEAD = {"model": "hawkes", "lobster": None, "columns": "", "kernel": "exponential", "count": 2, "signed": False,
        "mirror": False, "tick": None, "first": 0.0, "last": float("inf"), "silence": 60.0, "out": None, "json_": None,
        "plot": None}  # fmt: skip


def run(capsys, events, **changes):
    code = _guarded(**{**HEAD, "events": None if events is None else str(events), **changes})
    caught = capsys.readouterr()
    return code, caught.out, caught.err


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """400 s of the default flow as an event log of our own."""
    times, types = clusters(FLOW, 400.0, np.random.default_rng(1))
    lines = [f"{t:.9f},{NAMES[kind]},0" for t, kind in zip(times, types, strict=True)]
    return write(tmp_path_factory.mktemp("log") / "events.csv", "\n".join(["time,event,owner", *lines]) + "\n")


def test_a_simulated_flow_is_found_and_becomes_a_scenario(capsys, tmp_path, simulated):
    """93 estimates, each within 5 standard errors: one is further off once in 19 000 samples; the seed is fixed."""
    out, numbers, picture = tmp_path / "mine.yaml", tmp_path / "mine.json", tmp_path / "mine.png"
    code, said, progress = run(capsys, simulated, mirror=True, out=out, json_=numbers, plot=picture)
    assert code == 0, progress
    assert "log-likelihood" in progress
    assert "Strongest excitations" in said
    told = json.loads(numbers.read_text())
    for name, truth in (("base", FLOW.base), ("matrix", FLOW.total)):
        value, error = (np.array(told[name][field], dtype=float) for field in ("value", "error"))
        assert (np.abs(value - truth) < 5.0 * error)[np.isfinite(error)].all()
        assert np.isfinite(error).mean() > 0.9
    assert told["shape"]["rate"]["low"] < 5.0 < told["shape"]["rate"]["high"]
    assert told["converged"]
    assert min(test["p"] for test in told["rescaling"]) > 0.001 / 12
    assert picture.stat().st_size > 2000
    flow = load(out).market.flow
    assert flow.excitation == pytest.approx(np.array(told["matrix"]["value"]), abs=1e-6)
    assert flow.rates == pytest.approx(np.array(told["base"]["value"]), abs=1e-6)
    assert flow.kernel.rate == pytest.approx(told["shape"]["rate"]["value"], abs=1e-6)
    assert flow.excitation == pytest.approx(flow.excitation[::-1, ::-1])  # --mirror


def messages(tmp_path):
    """Nine LOBSTER messages, two levels a side; prices in 1/10 000 $, tick 0.01 $."""
    rows = [
        # time, type, id, size, price, direction | ask 1, size, bid 1, size, ask 2, size, bid 2, size after it
        (0.0, 1, 1, 10, 999700, 1, (1000000, 10, 999700, 10, 1000100, 10, 999600, 10)),
        (0.1, 1, 2, 10, 1000000, -1, (1000000, 20, 999700, 10, 1000100, 10, 999600, 10)),  # LO_a_T
        (0.2, 1, 3, 10, 999600, 1, (1000000, 20, 999700, 10, 1000100, 10, 999600, 20)),  # LO_b_D
        (0.3, 1, 4, 10, 999800, 1, (1000000, 20, 999800, 10, 1000100, 10, 999700, 10)),  # LO_b_IS
        (0.4, 4, 4, 10, 999800, 1, (1000000, 20, 999700, 10, 1000100, 10, 999600, 20)),  # MO_b ...
        (0.4, 4, 1, 5, 999700, 1, (1000000, 20, 999700, 5, 1000100, 10, 999600, 20)),  # ... the same one
        (0.5, 2, 2, 5, 1000000, -1, (1000000, 15, 999700, 5, 1000100, 10, 999600, 20)),  # CO_a_T
        (0.6, 3, 9, 10, 1000100, -1, (1000000, 15, 999700, 5, 1000200, 10, 999600, 20)),  # CO_a_D
        (0.7, 1, 5, 10, 999000, 1, (1000000, 15, 999700, 5, 1000200, 10, 999600, 20)),  # behind
        (0.8, 5, 0, 10, 999800, 1, (1000000, 15, 999700, 5, 1000200, 10, 999600, 20)),  # hidden
    ]
    told = write(tmp_path / "message.csv", "".join(",".join(map(str, row[:6])) + "\n" for row in rows))
    book = write(tmp_path / "book.csv", "".join(",".join(map(str, row[6])) + "\n" for row in rows))
    return told, book


def test_lobster_messages_become_the_twelve_types(tmp_path):
    told, book = messages(tmp_path)
    log = lobster.read(str(told), str(book))
    assert [NAMES[kind] for kind in log.types] == ["LO_a_T", "LO_b_D", "LO_b_IS", "MO_b", "CO_a_T", "CO_a_D"]
    assert log.times == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert log.spread == pytest.approx([3, 3, 3, 2, 3, 3])
    assert log.notes == ("1 messages behind the second price left out", "1 executions of hidden orders left out")
    assert log.price == pytest.approx(99.985)


@pytest.mark.parametrize(
    ("row", "text", "sentence"),
    [
        (3, "0.3,7,4,10,-1,1", r"row 4: found a trading halt at 0.300 s"),
        (3, "0.05,1,4,10,999800,1", r"row 5: found time 0.050000 after 0.200000"),
        (3, "0.3,9,4,10,999800,1", "row 4: found message type 9; allowed are 1 to 7"),
        (9, "", r"found 9 messages and 10 rows of the book"),
    ],
)
def test_lobster_s_troubles_are_sentences(tmp_path, row, text, sentence):
    told, book = messages(tmp_path)
    lines = told.read_text().splitlines()
    lines[row] = text
    write(told, "\n".join(line for line in lines if line) + "\n")
    with pytest.raises(LogError, match=sentence):
        lobster.read(str(told), str(book))


def test_a_crossed_book_of_lobster_is_a_sentence(tmp_path):
    told, book = messages(tmp_path)
    write(book, book.read_text().replace("1000000,15", "999600,15", 1))
    with pytest.raises(LogError, match=r"row 7: found a bid of 99\.97 at or above the ask of 99\.96, a crossed book"):
        lobster.read(str(told), str(book))


ORDERS = """t,oid,px,left,what,side
0,1,100,5,created,bid
0,2,99,5,created,bid
0,3,102,5,created,ask
0,4,103,5,created,ask
1,5,100,5,created,bid
2,6,101,5,created,ask
3,7,98,5,created,bid
4,8,101,7,created,bid
4,8,101,2,changed,bid
4,6,101,0,deleted,ask
5,8,101,2,deleted,bid
6,9,103,5,created,ask
7,4,103,5,deleted,ask
8,10,102,1,created,bid
8,10,102,1,deleted,bid
9,2,99,3,changed,bid
"""
MAP = "time=t,id=oid,price=px,size=left,action=what"


def test_orders_one_by_one_become_the_twelve_types(tmp_path):
    """An order that crosses and shrinks is one market order, its rest stays as a bid; one turned away is nothing."""
    log = orders.read(str(write(tmp_path / "orders.csv", ORDERS)), MAP)
    found = list(zip(log.times.tolist(), (NAMES[kind] for kind in log.types), log.spread.tolist(), strict=True))
    assert found == [(1.0, "LO_b_T", 2.0), (2.0, "LO_a_IS", 2.0), (4.0, "MO_a", 1.0), (5.0, "CO_b_T", 1.0),
                     (6.0, "LO_a_D", 2.0), (7.0, "CO_a_D", 2.0), (9.0, "CO_b_D", 2.0)]  # fmt: skip
    assert log.tick == 1.0
    assert "1 rows behind the second price left out" in log.notes


def test_an_order_that_others_were_posted_through_is_taken_for_gone(tmp_path):
    text = ORDERS + "10,11,102,1,created,bid\n11,12,102,1,created,bid\n"
    log = orders.read(str(write(tmp_path / "orders.csv", text)), MAP)
    assert "1 orders that others were posted through, taken for gone" in log.notes
    assert (log.times[-1], NAMES[log.types[-1]]) == (11.0, "LO_b_T")


@pytest.mark.parametrize(
    ("change", "columns", "sentence"),
    [
        (("9,2,99", "3,2,99"), MAP, "row 17: found time 3.000000 after 8.000000, and 1 such rows; allowed are"),
        (("changed", "altered"), MAP, "row 10: found action 'altered'; allowed are new, created"),
        (("", ""), "time=t", "none called 'id' (did you mean 'oid'?); allowed is --columns id=NAME"),
        (("", ""), "when=t", "--columns: found 'when=t'; allowed are time=NAME"),
        (("9,2,99,3", "9,2,99.5,3"), MAP, "found a price of 99.5, no multiple of the tick 1; allowed is --tick"),
    ],
)
def test_trouble_with_orders_is_a_sentence(tmp_path, change, columns, sentence):
    with pytest.raises(LogError, match=re.escape(sentence)):
        orders.read(str(write(tmp_path / "orders.csv", ORDERS.replace(*change))), columns, 1.0)


@pytest.mark.parametrize(
    ("text", "changes", "code", "sentence"),
    [
        ("time,event\n1,LO_a_T\n0.5,LO_a_T\n", {}, 2, "row 3: found time 0.500000 after 1.000000"),
        ("time,event\n1,LO_a_T\n2,LO_x_T\n", {}, 2, "row 3: found event 'LO_x_T'; allowed are 0 to 11 or LO_a_D"),
        ("time,event\n1,2\n2,12\n", {}, 2, "row 3: found event '12'; allowed are 0 to 11"),
        ("time,event\n1,2\n100,2\n", {}, 2, "found 99.0 s without an event, 0.0 s after the first; allowed are 60 s"),
        ("time,event,spread\n1,2,1\n2,2,0\n", {}, 2, "row 3: found a spread of 0 ticks, a crossed book"),
        ("time,event\n1,2\n2,2\n", {}, 2, "found 1 events; allowed are 10 and more"),
        ("when,event\n1,2\n", {}, 2, "none called 'time'"),
        ("time,event\n1,2\n2,3\n", {"model": "poisson"}, 2, "found 'poisson'; allowed are hawkes"),
        ("time,event\n1,2\n2,3\n", {"kernel": "gauss"}, 2, "--kernel: found 'gauss'; allowed are exponential, "),
        ("time,event\n1,2\n2,3\n", {"lobster": ("a", "b")}, 2, "found a file and --lobster"),
        ("time,event\n1,2\n2,3\n", {"last": 0.5}, 2, "found 1 events of the twelve types"),
    ],
)
def test_trouble_with_our_own_log_is_a_sentence(capsys, tmp_path, text, changes, code, sentence):
    found = run(capsys, write(tmp_path / "events.csv", text), **changes)
    assert found[0] == code
    assert sentence in found[2]
    assert "Traceback" not in found[2]


def test_a_file_that_is_not_there_is_a_sentence(capsys, tmp_path):
    assert "no such file" in run(capsys, tmp_path / "nowhere.csv")[2]
    assert "found no file; allowed is EVENTS.csv" in run(capsys, None)[2]


def test_equal_times_are_spread_over_the_clock_s_tick_in_their_order(tmp_path):
    text = "time,event\n0.001,2\n0.002,2\n0.002,3\n0.002,9\n0.005,2\n"
    log = own_log.read(str(write(tmp_path / "events.csv", text))).checked().apart()
    assert log.times == pytest.approx([0.001, 0.002, 0.002 + 0.001 / 3, 0.002 + 0.002 / 3, 0.005])
    assert log.types.tolist() == [2, 2, 3, 9, 2]
    assert "60.0 % of the events share their time" in log.notes[-1]
    assert resolution(np.array([0.25, 1.5])) == 0.01


def test_agents_orders_excite_and_are_not_explained(tmp_path):
    log = own_log.read(str(write(tmp_path / "events.csv", "time,event,owner\n0,2,0\n1,2,1\n2,3,0\n")))
    events = log.events()
    assert events.counts()[[2, 3]].tolist() == [0, 1]  # the first event opens the window
    assert events.times.tolist() == [0.0, 1.0, 2.0]


@pytest.mark.slow
def test_a_real_file_of_thirty_minutes_gives_plausible_rates(capsys, tmp_path):
    """The sample inside the package ob-analytics (GPL): fetched apart, read, thrown away; nothing of it is ours."""
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path)]
    got = subprocess.run([*fetch, "ob-analytics==0.1.0"], capture_output=True, text=True, timeout=120, check=False)
    wheels = list(tmp_path.glob("*.whl"))
    if got.returncode or not wheels:
        pytest.skip(f"ob-analytics cannot be installed here: {(got.stderr.splitlines() or ['no wheel'])[-1]}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        packed = wheel.read("ob_analytics/_sample_data/orders.csv.gz")
    events = write(tmp_path / "orders.csv", gzip.decompress(packed).decode())
    numbers = tmp_path / "real.json"
    code, _, said = run(capsys, events, columns="time=exchange_timestamp,side=direction,size=volume", json_=numbers)
    assert code == 0, said
    told = json.loads(numbers.read_text())
    rates = dict(zip(told["types"], told["rates"], strict=True))
    assert 1750 < told["seconds"] < 1850
    assert 10 < sum(rates.values()) < 30  # 32 000 events at the best two prices
    assert 0.02 < rates["MO_a"] < 0.2  # its 284 trades are fewer, larger orders
    assert 0.02 < rates["MO_b"] < 0.2
    assert 0.7 < rates["LO_b_T"] / rates["CO_b_T"] < 1.4  # what is posted is mostly cancelled
    assert told["converged"]
