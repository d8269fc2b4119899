"""The token of a form against requests from other sites, as cheap as a page that is asked for all day wants it."""

from secrets import randbelow

from django.http import HttpRequest
from django.middleware.csrf import CSRF_ALLOWED_CHARS, CSRF_SECRET_LENGTH, get_token

_BASE = len(CSRF_ALLOWED_CHARS)
_MASKS = _BASE**CSRF_SECRET_LENGTH
_DIGIT = {character: digit for digit, character in enumerate(CSRF_ALLOWED_CHARS)}


def form_token(request: HttpRequest) -> str:
    """As Django's `get_token`: the secret of the cookie under a new mask.

    The mask is one random number instead of 32, and the cookie is not sent anew with each page: signing in sends one
    that outlives the session by far.
    """
    secret = request.META.get("CSRF_COOKIE")
    if secret is None:
        return get_token(request)
    rest, mask, masked = randbelow(_MASKS), [], []
    for character in secret:
        rest, digit = divmod(rest, _BASE)
        mask.append(CSRF_ALLOWED_CHARS[digit])
        masked.append(CSRF_ALLOWED_CHARS[(_DIGIT[character] + digit) % _BASE])
    return "".join(mask + masked)
