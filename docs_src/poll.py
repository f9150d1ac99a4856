import sys
import time

import httpx

with httpx.Client(base_url=sys.argv[1], timeout=60) as client:
    answer = client.post("/greet", json={"name": "Ada", "count": 2}, headers={"Prefer": "respond-async"})
    while answer.status_code in (202, 204):
        time.sleep(int(answer.headers["Retry-After"]))
        answer = client.get(answer.headers["Location"], headers={"Prefer": "wait=20"})
    answer.raise_for_status()
    print(answer.json()["greeting"])
