"""The settings of a league: what a file may say of it, and what it may not."""

import pytest
from pydantic import ValidationError

from arena.league.promotion import EveryRound, PromotionSettings
from arena.league.settings import ExploiterSettings, LeagueSettings


def test_settings_are_frozen_strict_and_described():
    for model in (LeagueSettings, PromotionSettings, EveryRound, ExploiterSettings):
        assert all(field.description for field in model.model_fields.values())
    settings = LeagueSettings.model_validate(
        {
            "matchmaking": {"kind": "prioritised", "curve": "even"},
            "promotion": {"games": 256, "test": {"kind": "bernstein", "range": 100.0}},
            "exploiters": {"maker": {"games_share": 0.1}},
        }
    )
    assert LeagueSettings.model_validate(settings.model_dump(mode="json")) == settings
    with pytest.raises(ValidationError, match="frozen"):
        settings.slots = 3  # type: ignore[misc]
    for wrong in ({"slots": 0}, {"slot": 3}, {"matchmaking": {"kind": "newest"}}, {"promotion": {"error": 0}}):
        with pytest.raises(ValidationError):
            LeagueSettings.model_validate(wrong)


def test_a_league_says_whether_it_needs_the_tensor_during_training():
    of = {"kind": "mixture", "parts": [{"weight": 1.0, "of": {"kind": "meta_strategy"}}]}
    asked = [
        LeagueSettings.model_validate(tree).follows_payoffs
        for tree in ({}, {"matchmaking": {"kind": "meta_strategy"}}, {"elsewhere": of})
    ]
    assert asked == [False, True, True]
