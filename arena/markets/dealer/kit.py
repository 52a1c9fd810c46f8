"""What the dealer market offers above its rules; see `arena.markets.catalogue.Kit`."""

from typing import get_args

from agents.executors import Executor
from agents.makers import Maker, naive_profile
from arena.markets.dealer.board import Board
from arena.markets.dealer.prior import prior

__all__ = ["SEATS", "board", "naive", "prior"]

SEATS = {"maker": get_args(get_args(Maker)[0]), "executor": get_args(get_args(Executor)[0])}
naive, board = naive_profile, Board
ANSWERERS = ("arena.markets.dealer.theory.equilibrium", "arena.markets.dealer.theory.quoting")
"""Imported when somebody asks: scipy alone takes half a second."""
