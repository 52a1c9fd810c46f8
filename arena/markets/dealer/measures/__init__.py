"""What is measured in games of the dealer market: accounts, quotes, and the best risk aversion."""
