"""What tells one function from another, in the next process and next week: where it stands, its text, what it encloses."""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import fields, is_dataclass
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ..errors import InvalidInput


def identity(function: Any) -> str:
    """Name and a hash, of the text of a function, its defaults and what it encloses; of what it calls, nothing.

    Raises
    ------
    InvalidInput
        If it encloses an object that cannot be told from another.

    Examples
    --------
    >>> def twice(x):
    ...     return 2 * x
    >>> identity(twice) == identity(twice)
    True
    """
    text = json.dumps(_described(function, []))
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{name} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _described(value: Any, seen: list[Any]) -> Any:
    """The same in words that JSON can write."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind != "O":
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return ["array", str(value.dtype), list(value.shape), digest]
    if any(value is other for other in seen):
        return "itself"
    seen = [*seen, value]
    if isinstance(value, (ModuleType, BuiltinFunctionType, np.ufunc)):
        return value.__name__
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, FunctionType):
        enclosed = inspect.getclosurevars(value).nonlocals
        parts = [value.__defaults__, value.__kwdefaults__, enclosed]
        return [value.__module__, value.__qualname__, _text(value), *(_described(part, seen) for part in parts)]
    if isinstance(value, MethodType):
        return [_described(value.__func__, seen), _described(value.__self__, seen)]
    if isinstance(value, partial):
        return ["partial", *(_described(part, seen) for part in (value.func, value.args, value.keywords))]
    if isinstance(value, (tuple, list)):
        return [_described(item, seen) for item in value]
    if isinstance(value, dict):
        return [[_described(key, seen), _described(item, seen)] for key, item in value.items()]
    if is_dataclass(value):
        parts = [getattr(value, field.name) for field in fields(value)]
        return [_described(type(value), seen), *(_described(part, seen) for part in parts)]
    if hasattr(value, "py_func"):  # compiled by Numba
        return _described(value.py_func, seen)
    raise InvalidInput(
        f"identity: expected functions that enclose numbers, words, arrays, functions and dataclasses, got one with an object "
        f"of {type(value).__qualname__}, which cannot be told from another the next time. Make it inside build, or pass "
        "identity='a name of your own', to be changed whenever build or measure change"
    )


def _text(function: FunctionType) -> str:
    """As written; of functions that were not written in a file or a notebook, the bytecode."""
    try:
        return inspect.cleandoc(inspect.getsource(function))
    except (OSError, TypeError):
        return _bytecode(function.__code__)


def _bytecode(code: CodeType) -> str:
    inner = [_bytecode(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return repr([code.co_code.hex(), code.co_names, code.co_varnames, inner])
