#!/usr/bin/env python
"""A service that does a bit of everything."""

import argparse
import functools
import os
import time
from typing import Optional

from fastapi import Request as FRequest
from pydantic import BaseModel, Field

# the library
import ivcap_lambda as il  # noqa: I001
from ivcap_ai_tool import ivcap_ai_tool as tool
from ivcap_lambda.executor import ExecutorOpts, JobContext
from ivcap_service import Service, SidecarReporter, getLogger, with_schema

il.logging_init()
logger = getLogger("shop")

service = Service(
    name="Shop",
    version=None,
    contact={"name": "Alice", "email": "alice@example.com"},
    license_info={"name": "MIT", "url": "https://opensource.org/license/MIT"},
)

SLOW = il.ToolOptions(tags=["Shop"], max_wait_time=None)
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
@tool(
    "/price",  # of all items
    opts=il.ToolOptions(
        tags=["Shop"],
        service_id="/price",
        executor_opts=ExecutorOpts(job_cache_size=0, job_cache_ttl=600, max_workers=2),
        is_ready=is_open,
        colour="green",
    ),
)
# between decorator and function
def price(req: Order, *, ctxt: JobContext) -> Bill:
    """What an order costs

    With two spaces   and a "quote".
    """

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


@tool("/sell/", opts=SLOW)
def sell(req: Order, freq: FRequest) -> Bill:
    """Sell something"""
    global sold
    sold += 1
    who = freq.headers.get("X-Customer", "nobody")
    logger.info("%s buys by %s", who, freq.method)
    return Bill(total=counted(req), text=f"{who}: {freq.method} {in_job()}")


def in_job() -> bool:
    return il.get_job_id() is not None


def counted(req: Order) -> float:
    return _discounted(req).total


@tool("/discount")
async def discount(req: Order):
    time.sleep(0.01)
    bill = Bill(total=sum(item.price for item in req.items) / 2)
    return bill


@il.ivcap_lambda("/rebate", opts=None)
def rebate(req: Order) -> Bill: return Bill(total=len(req.items))


_discounted = functools.partial(rebate)  # used elsewhere, too


if __name__ == "__main__":

    def custom_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
        parser.add_argument("--till", type=str)
        return parser.parse_args()

    il.start_lambda_server(
        service,
        logger=logger,
        custom_args=custom_args,
    )
