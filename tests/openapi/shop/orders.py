from pydantic import BaseModel, computed_field


class Item(BaseModel):
    """What somebody wants."""

    number: int
    amount: int = 1

    @computed_field
    def price(self) -> float:
        return 2.5 * self.amount


class Order(BaseModel):
    items: list[Item]
