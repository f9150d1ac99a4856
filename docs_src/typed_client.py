import sys

from greeter_client import Client
from greeter_client.api.greeter import run_greet
from greeter_client.models import MyRequest, MyResult, Problem

with Client(base_url=sys.argv[1]) as client:
    answer = run_greet.sync(client=client, body=MyRequest(name="Ada", count=2), prefer="wait=20")

if isinstance(answer, Problem):
    sys.exit(answer.detail)
if isinstance(answer, MyResult):
    print(answer.greeting)
