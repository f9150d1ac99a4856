from datetime import date

from pydantic import BaseModel, Field

from lambda_kit import LambdaTool, Service, ToolServer, UploadedFile


class Measurements(BaseModel):
    table: UploadedFile = Field(description="One number a line.")
    photos: list[UploadedFile] = []
    taken_on: date | None = None
    scale: float = 1.0


class Summary(BaseModel):
    name: str | None
    count: int
    mean: float
    photo_bytes: int


class Summarise(LambdaTool):
    """Summarise measurements

    Takes a table of numbers and, if you like, photos of the place.
    """

    def run(self, req: Measurements) -> Summary:
        with req.table.path.open() as lines:
            numbers = [float(line) * req.scale for line in lines if line.strip()]
        return Summary(
            name=req.table.filename,
            count=len(numbers),
            mean=sum(numbers) / len(numbers),
            photo_bytes=sum(photo.size for photo in req.photos),
        )


server = ToolServer(
    Service(name="Measurements", contact={"name": "Alice", "email": "alice@example.com"}),
    tools=[Summarise],
)

if __name__ == "__main__":
    server.serve()
