from uploads import Measurements, Summarise, server

from lambda_kit import UploadedFile
from lambda_kit.testing import TestClient


def test_a_table_is_summarised() -> None:
    table = UploadedFile.from_bytes(b"1\n2\n6\n", "table.txt", "text/plain")
    assert Summarise().run(Measurements(table=table, scale=2)).mean == 6


def test_a_table_is_uploaded() -> None:
    with TestClient(server) as client:
        answer = client.post("/summarise", files={"table": ("table.txt", b"1\n3\n")}, data={"scale": "0.5"})
    assert answer.json() == {"name": "table.txt", "count": 2, "mean": 1.0, "photo_bytes": 0}
