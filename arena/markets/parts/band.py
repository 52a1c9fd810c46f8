"""Hedging in a band: hold the shares while they are inside, trade to the nearest edge when they are outside.

    h' = clip(h, middle - width, middle + width),  fee = rate S |h' - h|

With proportional costs the optimal hedge has this form (Davis, Panas & Zariphopoulou 1993; Whalley & Wilmott 1997). A
width of 0 is a plain target holding; a middle and a width of 0 sell everything.
"""

from numba import njit

from arena.markets.parts.special import FAST


@njit(fastmath=FAST, error_model="numpy")
def rebalance(middle, width, spot, rate, hedge, cash, venue_hedge, venue_cash, fee_cash, cost, traded, paid):
    """Trades `hedge` to the nearest edge of its band at the spot, with a venue, for a proportional fee; all rows [W].

    middle, width   the band, shares, width >= 0 (read)
    spot, rate      currency; the fee as a fraction of the value that trades, a number (read)
    hedge           the shares held, before and after
    cash, cost      the hedger's cash, and the sum of its fees
    venue_hedge     the venue's shares
    venue_cash      what the venue was paid; fee_cash: who gets the fees
    traded, paid    written: the shares bought in this trade, and its fee
    """
    # few rows to a loop: with more, the check that none overlap costs the compiler its vectors
    for g in range(hedge.shape[0]):
        target = min(max(hedge[g], middle[g] - width[g]), middle[g] + width[g])
        traded[g] = target - hedge[g]
        hedge[g] = target
    for g in range(hedge.shape[0]):
        paid[g] = rate * spot[g] * abs(traded[g])
        cash[g] -= traded[g] * spot[g] + paid[g]
        venue_cash[g] += traded[g] * spot[g]
    for g in range(hedge.shape[0]):
        venue_hedge[g] -= traded[g]
        fee_cash[g] += paid[g]
        cost[g] += paid[g]
