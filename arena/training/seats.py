"""Who sits where while training: the learning seats by role, and acts for all the others."""

from arena.markets.market import Act
from arena.scenario import Scenario


def learning_seats(scenario: Scenario) -> dict[str, list[int]]:
    """Positions of the learning seats of each role that has any."""
    seats = {
        role.name: [i for i, agent in enumerate(role.agents) if scenario.players[agent].kind == "learned"]
        for role in scenario.market.roles
    }
    return {role: where for role, where in seats.items() if where}


def scripted_acts(scenario: Scenario) -> dict[str, Act]:
    """Acts of the seats that do not learn, by agent."""
    return {
        agent: scenario.players[agent].sit(scenario.market, agent)
        for role in scenario.market.roles
        for agent in role.agents
        if scenario.players[agent].kind != "learned"
    }


def learner_names(scenario: Scenario) -> list[str]:
    """Names of everything that learns: a role with learning seats, and its exploiter where the league has one."""
    exploiters = [f"{role}_exploiter" for role in scenario.league.exploiters]
    return sorted([*learning_seats(scenario), *exploiters])
