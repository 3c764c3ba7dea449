"""The other workers of the group: who owns which partition, and at which address it answers.

Every member tells its address with its subscription, and Faust's assignor sends all of them to all members with each
assignment. So there is nothing to look up, and after a rebalance nothing that is out of date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aiohttp import ClientError, ClientSession, ClientTimeout
from yarl import URL

FORWARDED: Final = "X-Slawatch-Forwarded"
"""Header of a request that one worker passes on to another; it is not passed on again."""

_TIMEOUT_SECONDS: Final = 5.0

Distribution = Mapping[str, Mapping[str, Iterable[int]]]
"""Partitions by topic by address."""


class PeerError(Exception):
    """A worker that does not answer."""


class Peers:
    """Addresses of the workers, and questions to them.

    Parameters
    ----------
    distribution : callable
        Returns who owns what since the last rebalance.
    own_url : callable
        Returns the address this worker has told.
    token : str or None
        Bearer token of ``/v1/*``: all workers have the same one.
    """

    def __init__(self, distribution: Callable[[], Distribution], own_url: Callable[[], str], token: str | None) -> None:
        self._distribution = distribution
        self._own_url = own_url
        self._token = token

    def owner_of(self, topic: str, partition: int) -> str | None:
        """Return the address of another worker that owns a partition; None if nobody else is known to."""
        own = URL(self._own_url())
        for address, topics in self._distribution().items():
            if partition in topics.get(topic, ()) and URL(address) != own:
                return address
        return None

    async def ask(self, address: str, path: str) -> tuple[int, bytes]:
        """Pass a question on; return status and body of the answer.

        Parameters
        ----------
        path : str
            Path and query, as they were received.

        Raises
        ------
        PeerError
            If the worker does not answer in time.
        """
        headers = {FORWARDED: "1"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        url = URL(address.rstrip("/") + path, encoded=True)
        try:
            async with (
                ClientSession(headers=headers, timeout=ClientTimeout(_TIMEOUT_SECONDS)) as session,
                session.get(url, allow_redirects=False) as response,
            ):
                return response.status, await response.read()
        except (ClientError, TimeoutError, OSError) as error:
            raise PeerError(f"{address}: {str(error) or type(error).__name__}") from error
