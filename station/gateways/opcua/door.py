"""Who gets a channel, and who a session: clients with a trusted certificate, and users with their password.

The library looks at a client's certificate only when a session is made, and then at what the client says of itself. So
it is checked here where the channel is opened. A channel without any security is opened for whoever asks, as clients
need it to learn how to come in; without `plain` it leads to no session. The server's thread.
"""

import logging
from typing import Any

from asyncua import Server, ua
from asyncua.crypto.permission_rules import SimpleRoleRuleset, User, UserRole
from asyncua.crypto.security_policies import SECURITY_POLICY_TYPE_MAP, SecurityPolicyFactory
from cryptography.hazmat.primitives.serialization import Encoding

from shadowline.errors import KeysError
from station.gateways.opcua.certificates import Own, Trust
from station.gateways.opcua.users import Users

__all__ = ["guard"]

logger = logging.getLogger(__name__)

_SECURE = (
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
)
_PLAIN = ua.SecurityPolicyType.NoSecurity
_MAX_TEXT = 128


async def guard(server: Server, own: Own, trust: Trust, users: Users, plain: bool) -> None:
    """Let in whom the folder knows; everybody else only where `plain` says so. Before the server starts."""
    await server.load_certificate(own.certificate.public_bytes(Encoding.DER), "der")
    await server.load_private_key(own.key, format="pem")
    server.set_security_policy([*_SECURE, *([_PLAIN] if plain else [])])
    anonymous = [ua.AnonymousIdentityToken] if plain else []
    server.set_identity_tokens([ua.UserNameIdentityToken, *anonymous])
    server.iserver.set_user_manager(_Doorman(users, plain))
    # asked in this order, before what the library adds by itself
    server._policies = [_Guarded(_factory(server, kind), trust) for kind in (*_SECURE, _PLAIN)]


class _Guarded:
    """Makes a channel's security for trusted certificates only."""

    def __init__(self, factory: Any, trust: Trust) -> None:
        self._factory, self._trust = factory, trust

    def matches(self, uri: str, mode: Any = None) -> bool:
        return bool(self._factory.matches(uri, mode))

    def create(self, certificate: bytes | None) -> Any:
        if self._factory.mode == ua.MessageSecurityMode.None_:
            return self._factory.create(None)
        try:
            self._trust.check(certificate or b"")
        except KeysError as fault:
            logger.warning("refused: %s", fault)
            raise ua.uaerrors.BadUserAccessDenied from None
        return self._factory.create(certificate)


class _Doorman:
    """Knows users by name and password; the library asks it for each session."""

    def __init__(self, users: Users, plain: bool) -> None:
        self._users, self._plain = users, plain

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        if not (certificate or self._plain):
            return None
        if username is None:
            return User(UserRole.User, "anonymous") if self._plain else None
        if not isinstance(password, str) or max(len(username), len(password)) > _MAX_TEXT:
            return None
        try:
            known = self._users.opens(username, password)
        except KeysError as fault:
            logger.warning("nobody is let in: %s", fault)
            return None
        return User(UserRole.User, username) if known else None


def _factory(server: Server, kind: Any) -> Any:
    policy, mode, _ = SECURITY_POLICY_TYPE_MAP[kind]
    iserver = server.iserver
    return SecurityPolicyFactory(policy, mode, iserver.certificate, iserver.private_key, SimpleRoleRuleset())
