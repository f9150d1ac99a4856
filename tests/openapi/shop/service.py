"""A service whose modules are imported in the order of their names in $SHOP_IMPORTS."""

import importlib
import os

from pydantic import BaseModel

from lambda_kit import LambdaTool, Service, ToolServer

for name in os.environ.get("SHOP_IMPORTS", "orders stock").split():
    importlib.import_module(f"tests.openapi.shop.{name}")

from tests.openapi.shop import orders, stock  # noqa: E402


class Receipt(BaseModel):
    """Of the module that is run, whatever its name."""

    total: float = 0.0


class Buy(LambdaTool):
    """Buy things"""

    def run(self, req: orders.Order) -> Receipt:
        return Receipt(total=sum(item.amount for item in req.items))


class Fill(LambdaTool):
    """Fill shelves"""

    def run(self, req: stock.Page[stock.Item]) -> stock.Shelf:
        return stock.Shelf(boards=[stock.Shelf.Item(height=1.0) for _ in req.items])


class Return(LambdaTool):
    """Give things back"""

    def run(self, req: orders.Order) -> orders.Order:
        return req


tools: list[type[LambdaTool]] = [Buy, Fill, Return]
if "SHOP_BACKWARDS" in os.environ:
    tools.reverse()

server = ToolServer(Service(name="Shop", contact={"name": "Alice", "email": "alice@example.com"}), tools=tools)

if __name__ == "__main__":
    server.serve()
