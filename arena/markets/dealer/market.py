"""The option dealer market, put together: its settings, its roles and the layout of its state."""

from functools import cached_property, partial

from arena.layout import Layout
from arena.markets.dealer import columns
from arena.markets.dealer.roles import roles
from arena.markets.dealer.settings import DealerSettings
from arena.markets.market import Role, Rules


class DealerMarket(DealerSettings):
    """Parameters and rules of the option dealer market. n products, M makers, N executors."""

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """Makers if there are any, then executors if there are any."""
        return roles(self)

    @cached_property
    def state(self) -> Layout:
        """Rows of the state array [R, B]."""
        return columns.state(self)

    def role(self, name: str) -> Role:
        """The role of that name; raises KeyError, with the roles there are, for another one."""
        for one in self.roles:
            if one.name == name:
                return one
        raise KeyError(f"no role named {name!r}; there are {', '.join(one.name for one in self.roles)}")

    def rules(self) -> Rules:
        """The kernels and this market's parameters as arrays."""
        from arena.markets.dealer.kernel import BLOCK, advance, begin  # the kernels are loaded by who plays
        from arena.markets.dealer.ledger import message
        from arena.markets.dealer.tables import packed

        complaint = partial(message, products=self.product_names, makers=self.maker_names)
        return Rules(begin, advance, packed(self), complaint, BLOCK)


Market = DealerMarket
"""The name under which the catalogue looks for a market."""
