"""Words that only our own pages know, so that no other page can act in somebody's name. Pure."""

import hashlib
import hmac

__all__ = ["csrf_of", "is_csrf_of"]


def csrf_of(token: str) -> str:
    """Return the word that belongs to the cookie `token`, and from which it can't be found."""
    return hmac.new(token.encode(errors="replace"), b"shadowline csrf", hashlib.sha256).hexdigest()


def is_csrf_of(token: str, given: str) -> bool:
    """Whether `given` belongs to the cookie `token`."""
    return hmac.compare_digest(csrf_of(token).encode(), given.encode(errors="replace"))
