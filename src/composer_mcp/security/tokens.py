"""Checks access tokens: signed by a trusted issuer, meant for us, valid now, of a known tenant."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jwt

from composer_mcp.errors import INVALID_TOKEN
from composer_mcp.security.access import Access, everybody
from composer_mcp.security.accounts import TENANT
from composer_mcp.security.caller import Caller
from composer_mcp.security.keys import IssuerKeys

if TYPE_CHECKING:
    from composer_mcp.settings import IssuerSettings

LEEWAY_SECONDS = 30
LONGEST_TOKEN = 16 * 1024
#: A verified token is not verified again for so long; a key that an issuer withdrew is honoured no longer.
REMEMBER_SECONDS = 300.0
REMEMBERED = 10_000
#: More than that, nobody can be told apart by, or keep in a list.
LONGEST_CLAIM = 300


class TokenVerifier:
    """Turns a bearer token into a caller, and asks ``access`` what is left of his scopes."""

    def __init__(
        self,
        issuers: list[IssuerSettings],
        keys: Mapping[str, IssuerKeys] | None = None,
        access: Access | None = None,
    ) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._keys = keys or {issuer.issuer: IssuerKeys(issuer) for issuer in issuers}
        self.access = access or everybody()
        #: By digest: until when, the caller, and for which generation of access.
        self._remembered: OrderedDict[bytes, tuple[float, Caller, int]] = OrderedDict()

    async def close(self) -> None:
        """Close the connections to the issuers."""
        for keys in self._keys.values():
            await keys.close()

    async def verify(self, token: str) -> Caller:
        """Return the caller.

        Raises:
            invalid_token: not a token of a trusted issuer for this server, not valid now, or revoked.
            issuer_unavailable: the issuer's keys are not known and cannot be fetched.
            account_disabled, account_needed, account_of_another_tenant: the token is good, its owner not.
            store_unavailable: the process has just started and knows no accounts yet.
        """
        if len(token) > LONGEST_TOKEN:
            raise INVALID_TOKEN.error(reason="it is too long")
        # Of all digests that nobody can find a second token for, the one that costs least.
        digest = hashlib.blake2b(token.encode(), digest_size=32).digest()
        remembered = self._remembered.get(digest)
        if remembered and time.time() < remembered[0]:
            until, caller, generation = remembered
            if generation == self.access.generation:
                return caller
        else:
            caller = await self._verify(token)
            until = min(caller.expires_at, time.time() + REMEMBER_SECONDS)
        generation = self.access.generation
        caller = self.access.admit(caller)
        self._remembered[digest] = (until, caller, generation)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return caller

    async def _verify(self, token: str) -> Caller:
        try:
            header = jwt.get_unverified_header(token)
            claimed = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except (jwt.PyJWTError, RecursionError) as error:
            raise INVALID_TOKEN.error(reason="it is not a JSON web token") from error
        issuer = self._issuers.get(claimed) if isinstance(claimed, str) else None
        if issuer is None:
            raise INVALID_TOKEN.error(reason="its issuer is not trusted here")
        if header.get("alg") not in issuer.algorithms:
            raise INVALID_TOKEN.error(reason="its algorithm is not allowed for its issuer")
        key_id = header.get("kid")
        key = await self._keys[issuer.issuer].find(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise INVALID_TOKEN.error(reason="it is signed with a key that its issuer does not publish")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=list(issuer.algorithms),
                audience=issuer.audience,
                issuer=issuer.issuer,
                leeway=LEEWAY_SECONDS,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub"],
                    "enforce_minimum_key_length": True,
                },
            )
        except (jwt.PyJWTError, RecursionError) as error:
            raise INVALID_TOKEN.error(reason=_reason(error)) from error
        tenant = claims.get(issuer.tenant_claim)
        if not isinstance(tenant, str) or not TENANT.fullmatch(tenant):
            raise INVALID_TOKEN.error(reason=f"its claim {issuer.tenant_claim} does not name a tenant")
        subject, token_id = claims["sub"], claims.get("jti", "")
        if not 0 < len(subject) <= LONGEST_CLAIM or len(token_id) > LONGEST_CLAIM:
            raise INVALID_TOKEN.error(reason="its claim sub or jti is empty or too long")
        return Caller(
            issuer=issuer.issuer,
            subject=subject,
            tenant=tenant,
            scopes=_scopes(claims.get(issuer.scope_claim)),
            # As they were checked: whole seconds, which everybody agrees on.
            expires_at=float(int(claims["exp"])),
            token_id=token_id,
            issued_at=float(int(claims["iat"])),
        )


def _scopes(claim: Any) -> frozenset[str]:
    """Read scopes in either customary form: one string with spaces, or a list."""
    if isinstance(claim, str):
        return frozenset(claim.split())
    if isinstance(claim, list):
        return frozenset(scope for scope in claim if isinstance(scope, str))
    return frozenset()


def _reason(error: Exception) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired"
        case jwt.ImmatureSignatureError():
            return "it is not valid yet"
        case jwt.InvalidAudienceError():
            return "it was issued for another audience"
        case jwt.InvalidSignatureError():
            return "its signature is wrong"
        case jwt.MissingRequiredClaimError():
            return f"it lacks the claim {error.claim}"
        case jwt.InvalidAlgorithmError():
            return "its algorithm is not that of its key"
        case jwt.InvalidKeyError():
            return "its key is too short to be trusted"
        case _:
            return "it is malformed"
