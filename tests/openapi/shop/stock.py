from typing import Generic, TypeVar

from pydantic import BaseModel

T = TypeVar("T")


class Item(BaseModel):
    """What lies on a shelf."""

    shelf: str


class Page(BaseModel, Generic[T]):
    items: list[T]


class Shelf(BaseModel):
    class Item(BaseModel):
        height: float

    boards: list[Item]
