#!/usr/bin/env python
"""A service that does a bit of everything."""

import argparse
import functools
import os
import time
from typing import Optional

from pydantic import BaseModel, Field

# the library
from lambda_kit import (
    ExecutorOpts,
    JobContext,
    LambdaTool,
    RequestInfo,
    Service,
    ToolOptions,
    ToolServer,
    getLogger,
    logging_init,
    with_schema,
)  # noqa: I001
from lambda_kit.compat.ivcap_lambda import get_job_id
from ivcap_service import SidecarReporter

logging_init()
logger = getLogger("shop")

service = Service(
    name="Shop",
    version=None,
    contact={"name": "Alice", "email": "alice@example.com"},
    license={"name": "MIT", "url": "https://opensource.org/license/MIT"},
)

SLOW = ToolOptions(tags=["Shop"], max_wait_time=2**31)
sold = 0


class Item(BaseModel):
    label: str
    price: float = Field(ge=0)


@with_schema("urn:example:schema:shop.order.1")
class Order(BaseModel):
    items: list[Item]
    note: Optional[str] = None


class Bill(BaseModel):
    total: float
    text: str = ""


def is_open() -> bool:
    return os.environ.get("SHOP") != "closed"


# What things cost.
# between decorator and function
class Price(LambdaTool):
    """What an order costs

    With two spaces   and a "quote".
    """

    # of all items
    path = "/price"
    options = ToolOptions(
        tags=["Shop"],
        service_id="/price",
        executor_opts=ExecutorOpts(job_cache_ttl=600, max_workers=2),
    )

    def is_ready(self) -> bool:
        return is_open()

    def run(self, req: Order, *, ctxt: JobContext) -> Bill:
        # sum up
        with ctxt.report.step("sum", "Summing up...") as step:
            total = sum(item.price for item in req.items)
            step.finished("Done")
        text = f"""Total:
  {total:.2f}
"""
        if total > 1000:
            raise ValueError(f"too expensive: {total}")
        return Bill(total=total, text=text)


class Sell(LambdaTool):
    """Sell something"""

    path = "/sell"
    options = SLOW

    def run(self, req: Order, freq: RequestInfo) -> Bill:
        global sold
        sold += 1
        who = freq.headers.get("x-customer", "nobody")
        logger.info("%s buys by %s", who, freq.method)
        return Bill(total=counted(req), text=f"{who}: {freq.method} {in_job()}")


def in_job() -> bool:
    return get_job_id() is not None


def counted(req: Order) -> float:
    return _discounted(req).total


class Discount(LambdaTool):
    path = "/discount"
    options = ToolOptions(executor="thread")

    async def run(self, req: Order) -> Bill:
        time.sleep(0.01)
        bill = Bill(total=sum(item.price for item in req.items) / 2)
        return bill


def rebate(req: Order) -> Bill: return Bill(total=len(req.items))


class Rebate(LambdaTool):
    path = "/rebate"

    def run(self, req: Order) -> Bill:
        return rebate(req)


_discounted = functools.partial(rebate)  # used elsewhere, too


if __name__ == "__main__":

    def custom_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
        parser.add_argument("--till", type=str)
        return parser.parse_args()

    ToolServer(service, tools=[Price, Sell, Discount, Rebate], keep_headers=["x-customer"]).serve(
        custom_args=custom_args,
    )
