"""Views whose module is imported when the first of them is asked for: rare pages cost no web worker memory."""

from functools import cached_property
from importlib import import_module
from typing import Any


class ViewsOf:
    """In place of a module of views in a list of addresses; a type checker is shown the module itself."""

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
        """What its decorators wrote on it: whether it asks for a sign-in, for a token."""
        if name == "view_class":  # asked of all views together, with their names, when the first address is made
            raise AttributeError(name)
        return getattr(self._view, name)
