"""Self-play training: the only room that knows Ray."""
