"""The league: members, matchmaking, promotion, ratings, tournament."""
