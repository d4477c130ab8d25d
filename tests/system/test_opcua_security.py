"""Who gets into the OPC UA server: real clients with and without certificates and passwords."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from shadowline.errors import ConfigError, KeysError
from station.gateways.opcua.certificates import own_certificate
from station.gateways.opcua.outlet import OpcUaOutlet
from station.gateways.opcua.users import Users
from tests.opcua import AES, SHA, Driven, Keys, connected, driven, marked, opcua_config, user, value

REFUSED = (ConnectionError, TimeoutError, asyncio.TimeoutError, ua.UaError)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ua") / "ua"


@pytest.fixture(scope="module")
def secure(folder: Path) -> Iterator[Driven]:
    """A server as it is without a word in its table."""
    with driven(folder, {"plain_network": False}) as one:
        one.put(marked(1), done=1)
        yield one


@pytest.fixture(scope="module")
def known(secure: Driven, folder: Path) -> Keys:
    """A client that the server trusts."""
    return Keys(folder.parent, "known").trusted_by(folder)


async def _read(url: str, *access: Any, policy: Any = SHA) -> Any:
    async with connected(url, *access, policy=policy) as client:
        return await value(client, "Live.LastVerdict")


@pytest.mark.parametrize("policy", [SHA, AES])
def test_a_trusted_client_with_its_password_comes_in(secure: Driven, folder: Path, known: Keys, policy: Any) -> None:
    assert asyncio.run(_read(secure.url, known, user(folder), policy=policy)) == "reject"


def test_no_password_and_wrong_ones_stay_out(secure: Driven, folder: Path, known: Keys) -> None:
    name, password = user(folder)
    for access in (None, (name, password + "x"), ("nobody", password), ("admin", ""), (name, "x" * 1000)):
        with pytest.raises(REFUSED):
            asyncio.run(_read(secure.url, known, access))
    Users(folder).remove(name)
    with pytest.raises(REFUSED):
        asyncio.run(_read(secure.url, known, (name, password)))


def test_unknown_and_expired_certificates_stay_out(secure: Driven, folder: Path) -> None:
    stranger = Keys(folder.parent, "stranger")
    with pytest.raises(REFUSED):
        asyncio.run(_read(secure.url, stranger, user(folder)))
    kept = list((folder / "rejected").iterdir())
    assert [file.read_bytes() for file in kept] == [stranger.certificate.read_bytes()]
    expired = Keys(folder.parent, "expired", 1, datetime.now(UTC) - timedelta(days=2))
    (folder / "trusted" / "expired.der").write_bytes(expired.certificate.read_bytes())
    with pytest.raises(REFUSED):
        asyncio.run(_read(secure.url, expired, user(folder)))


def test_a_channel_without_security_tells_how_to_come_in_and_nothing_else(secure: Driven, folder: Path) -> None:
    name, password = user(folder)

    async def force() -> None:
        client = Client(secure.url, timeout=5)
        await client.connect_socket()
        try:
            await client.send_hello()
            await client.open_secure_channel()
            offered = await client.get_endpoints()
            assert {one.SecurityMode for one in offered} == {ua.MessageSecurityMode(2), ua.MessageSecurityMode(3)}
            client.security_policy.host_certificate = b""
            await client.uaclient.create_session(ua.CreateSessionParameters(RequestedSessionTimeout=60_000))
            with pytest.raises(ua.UaError, match="BadUserAccessDenied"):
                await client.nodes.server_state.read_value()
            with pytest.raises(ua.UaError, match="BadUserAccessDenied"):
                await client.activate_session(name, password)
            with pytest.raises(ua.UaError, match="BadIdentityTokenRejected"):
                await client.activate_session()
        finally:
            client.disconnect_socket()

    with pytest.raises(REFUSED):
        asyncio.run(_read(secure.url))
    asyncio.run(force())


def test_an_expired_certificate_of_its_own_ends_the_start(tmp_path: Path) -> None:
    settings, config = opcua_config(tmp_path / "ua", {"plain_network": False})
    own_certificate(tmp_path / "ua", "urn:other", [])
    with pytest.raises(ConfigError, match="not made for urn:"):
        OpcUaOutlet("ua", settings, config).open()
    (tmp_path / "ua" / "server.key").chmod(0o644)
    with pytest.raises(KeysError, match="chmod 600"):
        OpcUaOutlet("ua", settings, config).open()
