"""Views whose module is imported at their first request, so that rarely used pages take no memory in web workers."""

from functools import cached_property
from importlib import import_module
from typing import Any


class ViewsOf:
    """Takes the place of a views module in a URLconf. Type checkers see the real module (`if TYPE_CHECKING`)."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> "_View":
        return _View(self._module, name)


class _View:
    def __init__(self, module: str, name: str) -> None:
        self.__module__, self.__name__, self.__qualname__ = module, name, name

    @cached_property
    def _view(self) -> Any:
        return getattr(import_module(self.__module__), self.__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._view(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """The attributes that decorators set on the view: `login_required`, `csrf_exempt` and the like."""
        if name == "view_class":  # URL resolvers read it from every view when the first URL is reversed
            raise AttributeError(name)
        return getattr(self._view, name)
