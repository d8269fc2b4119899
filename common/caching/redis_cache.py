"""Django's Redis cache, made to fail open: without Redis, no request waits and none is refused."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

from common.caching.circuit_breaker import redis_breaker


def _fail_open(name: str, fallback: Callable[..., Any]) -> Callable[..., Any]:
    """The method of Django's cache that, while Redis is unavailable, returns `fallback` of the same arguments."""
    method = getattr(RedisCache, name)

    @wraps(method)
    def attempt(self: RedisCache, *args: Any, **kwargs: Any) -> Any:
        if not redis_breaker.is_open:
            try:
                return method(self, *args, **kwargs)
            except RedisError:
                redis_breaker.trip()
        return fallback(*args, **kwargs)

    return attempt


class FailOpenRedisCache(RedisCache):
    # True: rate limits that take a lock with add() let the request through.
    add = _fail_open("add", lambda *args, **kwargs: True)
    get = _fail_open("get", lambda key, default=None, version=None: default)
    set = _fail_open("set", lambda *args, **kwargs: None)
    touch = _fail_open("touch", lambda *args, **kwargs: False)
    delete = _fail_open("delete", lambda *args, **kwargs: False)
    get_many = _fail_open("get_many", lambda *args, **kwargs: {})
    has_key = _fail_open("has_key", lambda *args, **kwargs: False)
    incr = _fail_open("incr", lambda key, delta=1, version=None: delta)
    set_many = _fail_open("set_many", lambda *args, **kwargs: [])
    delete_many = _fail_open("delete_many", lambda *args, **kwargs: None)
    clear = _fail_open("clear", lambda *args, **kwargs: False)
