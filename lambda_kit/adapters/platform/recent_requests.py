"""`RecentRequests`: the contents of the last requests, for records that are asked for with them."""

from collections import OrderedDict

from lambda_kit.core.model.job import Payload

__all__ = ["RecentRequests"]


class RecentRequests:
    """Keeps the contents of the requests that came last, in memory: a job store need not have them after a job's end.

    Args:
        most_bytes: So many, all together; the oldest go first.
    """

    def __init__(self, most_bytes: int = 16 * 1024 * 1024) -> None:
        self._left = most_bytes
        self._all: OrderedDict[str, Payload] = OrderedDict()

    def keep(self, job_id: str, request: Payload) -> None:
        """Keep the content of a job's request."""
        if job_id in self._all:
            return
        self._all[job_id] = request
        self._left -= len(request.content)
        while self._left < 0:
            _, oldest = self._all.popitem(last=False)
            self._left += len(oldest.content)

    def find(self, job_id: str) -> Payload | None:
        """The content of a job's request. None: it is not known (any more)."""
        return self._all.get(job_id)
