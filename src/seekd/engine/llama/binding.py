"""llama.cpp's C functions, and the library as an owned resource.

`llama_cpp`'s own package module pulls in a chat server's worth of Python (Jinja, disk caches, a tokenizer) and sets a
log callback of its own; only its low-level binding module is imported here, which starts a process 0.15 s earlier.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import logging
import sys
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Self

from seekd.errors import ConfigError

__all__ = ["C", "Library", "build_info", "has_amx"]

_log = logging.getLogger(__name__)

_PACKAGE = "llama_cpp"
_BINDING = "llama_cpp.llama_cpp"

# enum ggml_log_level in ggml.h: 0 none, 1 debug, 2 info, 3 warn, 4 error, 5 continuation of the line before. llama.cpp
# tells at info level what a user needs only when something is wrong.
_LEVELS = {1: logging.DEBUG, 2: logging.DEBUG, 3: logging.WARNING, 4: logging.ERROR}
# Warnings of what is meant: a memory larger than one trained context is shared by sequences, windows are kept in full.
_EXPECTED = ("possible training context overflow", "using full-size SWA cache")
_DEBUG = 1
_CONTINUATION = 5


def _load_binding() -> ModuleType:
    """Import the binding module without running its package's `__init__`."""
    if _PACKAGE in sys.modules:
        return importlib.import_module(_BINDING)
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        raise ConfigError("llama-cpp-python is not installed. Install it with: pip install llama-cpp-python")
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)  # a shell with a __path__, never executed
    try:
        return importlib.import_module(_BINDING)
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"llama.cpp's library could not be loaded: {error}") from error
    finally:
        # An import of the whole package elsewhere in the process must still work.
        del sys.modules[_PACKAGE]


if TYPE_CHECKING:
    import llama_cpp.llama_cpp as C  # noqa: N812 - a namespace of constants and functions, named as in C
else:
    C = _load_binding()


class Library:
    """llama.cpp's global state: its backends and its log. One per process, around everything else of this package.

    Its messages reach `logging` under this module's name, one record a line.
    """

    def __init__(self) -> None:
        self._line = ""
        self._level = logging.DEBUG
        self._wants_debug = _log.isEnabledFor(logging.DEBUG)
        # llama.cpp keeps the pointer until another one is set, so the callable must live as long as the library.
        self._callback = C.llama_log_callback(self._receive)

    def __enter__(self) -> Self:
        C.llama_log_set(self._callback, ctypes.c_void_p(0))
        C.llama_backend_init()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        C.llama_backend_free()
        C.llama_log_set(_SILENT, ctypes.c_void_p(0))

    def _receive(self, level: int, text: bytes, _user_data: ctypes.c_void_p) -> None:
        """Called by llama.cpp from any of its threads, under the interpreter lock."""
        if level == _DEBUG and not self._wants_debug:  # there are hundreds of them
            self._flush()
            self._level = logging.DEBUG
            return
        if level != _CONTINUATION:
            self._flush()
            self._level = _LEVELS.get(level, logging.DEBUG)
        self._line += text.decode(errors="replace")
        if self._line.endswith("\n"):
            self._flush()

    def _flush(self) -> None:
        line, self._line = self._line.strip(), ""
        if line and not set(line) <= {"."}:  # progress dots
            level = logging.DEBUG if any(text in line for text in _EXPECTED) else self._level
            _log.log(level, "llama.cpp: %s", line, extra={"action": "llama_log"})


def _ignore(_level: int, _text: bytes, _user_data: ctypes.c_void_p) -> None:
    """Drop a message: llama.cpp would print to standard error with no callback set."""


_SILENT = C.llama_log_callback(_ignore)


def has_amx() -> bool:
    """Whether this build computes with the AMX matrix unit of newer Intel servers, which it must be kept from.

    llama.cpp 0c1e57098 cannot place the weights of MLA models there and aborts (its issue 19184), and compilers drop
    half of the unit's configuration, so that the first prompt is an illegal instruction (its pull request 26954).
    """
    return b"AMX_INT8 = 1" in C.llama_print_system_info()


def build_info() -> str:
    """What could change a computed number: the binding's version, llama.cpp's version and the CPU features in use."""
    version = importlib.metadata.version("llama-cpp-python")
    system = C.llama_print_system_info().decode(errors="replace").strip()
    return f"llama-cpp-python {version}; llama.cpp {C.llama_version().decode(errors='replace')}; {system}"
