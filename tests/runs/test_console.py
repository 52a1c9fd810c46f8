"""What a person sees while a run trains."""

import io

import pytest
from rich.console import Console

from arena.runs.console import ROWS, Watch, clock, figure, percent

LINE = {"iteration": 3, "agent_steps_per_s": 61234.5, "return/maker": 9.8765, "league_size": 4, "alarms": []}


def shown(terminal: bool, lines: int = 1, alarms: tuple[str, ...] = ()) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, color_system=None)
    with Watch("two_mm_one_trader, seed 0", ["maker"], 150, console) as watch:
        watch.gap = 0.042
        watch.note("maker-00010: promoted; gain 0.5 ± 0.1")
        for i in range(lines):
            gains = {"gain/maker": 0.5, "gain_se/maker": 0.1} if i % 2 else {}
            watch.show({**LINE, "iteration": i + 1, "alarms": alarms, **gains}, 75.0)
    return out.getvalue()


def test_plain_lines_where_nobody_watches_live() -> None:
    text = shown(False, 2, ("maker: passive",))
    assert "\x1b" not in text
    first = text.splitlines()[2]
    for part in ("1/150", "left 1:15", "61,234 agent-steps/s", "maker 9.877", "gap 4.2 %", "league 4"):
        assert part in first
    assert "+0.5 ± 0.1" in text
    assert text.count("alarm: maker: passive") == 1  # a cause is said once
    assert "promoted" in text


def test_an_alarm_whose_numbers_alone_change_is_the_same_one() -> None:
    out = io.StringIO()
    with Watch("a run", ["maker"], 150, Console(file=out, width=120)) as watch:
        for alarm in ("2 steps were skipped", "3 steps were skipped", "31 % were clipped"):
            watch.show({**LINE, "alarms": [alarm]}, 75.0)
    assert [line.strip() for line in out.getvalue().splitlines() if "alarm" in line] == [
        "alarm: 2 steps were skipped",
        "alarm: 31 % were clipped",
    ]


def test_a_live_table_in_a_terminal() -> None:
    text = shown(True, ROWS + 5, ("maker: passive",))
    last = text[text.rindex("new − old maker") :]
    assert f"{ROWS + 5}/150" in last
    assert " 5/150" not in last  # older rows scroll away
    assert "alarm: maker: passive" in last
    assert "61,234" in last


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (clock(75.4), "1:15"),
        (clock(3725), "1:02:05"),
        (clock(float("nan")), "–"),
        (figure(None), "–"),
        (figure(-0.00012346), "-0.0001235"),
        (percent(float("nan")), "–"),
    ],
)
def test_figures(text: str, expected: str) -> None:
    assert text == expected
