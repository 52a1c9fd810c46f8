"""What played games of the book say: Sharpe ratios, fills and markouts, manipulation, slippage, stylised facts."""
