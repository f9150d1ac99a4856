"""Has host names of tests lead to 127.0.0.1, in the process that imports it."""

import socket
from typing import Any

_real = socket.getaddrinfo
ENDINGS = (".local", ".minikube", ".ivcap.net", ".test", "notivcap.net")


def _getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    is_ours = isinstance(name, str) and name.lower().removesuffix(".").endswith(ENDINGS)
    return _real("127.0.0.1" if is_ours else host, *args, **options)


socket.getaddrinfo = _getaddrinfo
