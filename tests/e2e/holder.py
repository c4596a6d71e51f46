"""Whoever holds a venue's credentials: makes and changes its webhooks at the simulated ROLLER."""

from typing import Any

from tests.e2e.world import KEY, World

#: What ROLLER is to send, and where; what a test says otherwise is put in its place.
WANTED: dict[str, Any] = {
    "booking": {
        "events": ["Created", "Updated", "Cancelled"],
        "include": {"tickets": True, "payments": True, "metadata": True},
    },
    "customer": {"events": ["Created", "Updated"]},
    "redemption": {"events": ["Created"]},
    "signedWaiver": {"events": ["Created"]},
}


def configuration(url: str, **changes: Any) -> dict[str, Any]:
    """Give the whole of a webhook that sends all that is needed to `url`."""
    whole = {
        "url": url,
        "enabled": True,
        "authentication": {"apiKey": KEY},
        "webhooks": WANTED,
    }
    return whole | changes


class Holder:
    """Uses `/webhooks` as the vendor documents it."""

    def __init__(self, here: World) -> None:
        self._here = here

    async def all(self) -> list[Any]:
        """List them."""
        found: list[Any] = await self._call("GET", "")
        return found

    async def only(self) -> Any:
        """Give the only one's configuration."""
        [found] = await self.all()
        return found["configuration"]

    async def add(self, url: str, **changes: Any) -> int:
        """Make one."""
        made = await self._call("POST", "", configuration(url, **changes))
        return int(made["webhookId"])

    async def change(self, number: int, url: str, **changes: Any) -> None:
        """Replace one, or switch it off as ROLLER does."""
        await self._call("PUT", f"/{number}", configuration(url, **changes))

    async def delete(self, number: int) -> None:
        """Delete one."""
        await self._call("DELETE", f"/{number}")

    async def alone(self, url: str, **changes: Any) -> int:
        """Leave only one, and make that as it is said here."""
        first, *others = [one["webhookId"] for one in await self.all()]
        for number in others:
            await self.delete(number)
        await self.change(first, url, **changes)
        return int(first)

    async def _call(self, method: str, path: str, body: object = None) -> Any:
        here = self._here
        credentials = {"client_id": "sandbox-leeds", "client_secret": "sandbox-leeds-secret"}
        async with here.http.post(f"{here.sandbox.roller}/token", json=credentials) as response:
            token = (await response.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{here.sandbox.roller}/webhooks{path}"
        async with here.http.request(method, url, json=body, headers=headers) as response:
            assert response.status in {200, 201}, await response.text()
            return await response.json() if await response.read() else None
