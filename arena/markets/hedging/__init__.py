"""The hedging market: one agent holds short or long options of many strikes and expiries, and hedges them in shares."""
