"""Settings of the HTTP server."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seekd.config import ByteSize
from seekd.errors import ConfigError


def default_data_dir() -> Path:
    """Where seekd keeps its caches and books: `$XDG_DATA_HOME/seekd`, usually `~/.local/share/seekd`.

    Source: XDG Base Directory Specification 0.8.
    """
    home = os.environ.get("XDG_DATA_HOME", "")
    if home.startswith("/"):
        return Path(home) / "seekd"
    try:
        return Path.home() / ".local" / "share" / "seekd"
    except RuntimeError as error:  # a user of a container, without a name and without HOME
        raise ConfigError("This user has no home directory. Choose a data directory with --data-dir.") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What the HTTP server listens to and how much it takes.

    Attributes:
        host: address to listen on; anything but loopback needs keys.
        port: 0 lets the system choose.
        insecure: let an address other than loopback be open while no key has ever existed.
        data_dir: caches and books; made with mode 0700, since they hold what users wrote.
        models_dir: downloaded models; None keeps them in `models` in the data directory.
        dialect: shapes and texts of answers where a request names none in `X-Seekd-Dialect`.
        tls_certificate: PEM file with the certificate and those that signed it; with `tls_key`, the server speaks HTTPS
            only, TLS 1.2 or newer. Read at the start.
        tls_key: PEM file of its key, without a password.
        pages: serve the playground at `/`.
        max_body_bytes: larger bodies are refused with 413; text of a million tokens is about 4 MB.
        max_tokenized_bytes: longer texts are refused where no context bounds them: at `/tokenize`, and in conversations
            that may be shortened. A million tokens are about 4 MB, and a megabyte takes half a second of a processor.
        body_timeout_s: seconds that a client may take to send its body.
        request_timeout_s: seconds from arrival after which a request is ended, whatever it waits for; 0 never. The
            hosted service allows ten minutes until the first token.
        write_timeout_s: seconds in which a client must read 32 KiB of an answer that waits for it; else its connection
            is cut, and its request ends as if it had left. What the system's buffers and 64 KiB hold does not wait.
        keep_alive_s: seconds of silence after which a waiting stream gets a comment line.
        shutdown_grace_s: seconds that running requests get to end when the server is told to stop; those that take
            longer end with an error. A second signal ends the server at once.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    insecure: bool = False
    data_dir: Path = field(default_factory=default_data_dir)
    models_dir: Path | None = None
    dialect: Literal["classic", "hosted"] = "classic"
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    pages: bool = True
    max_body_bytes: ByteSize = ByteSize(32 * 1024**2)
    max_tokenized_bytes: ByteSize = ByteSize(4 * 1024**2)
    body_timeout_s: float = 60.0
    request_timeout_s: float = 3600.0
    write_timeout_s: float = 30.0
    keep_alive_s: float = 10.0
    shutdown_grace_s: float = 5.0

    def __post_init__(self) -> None:
        """Check ranges; the message names the key."""
        if not 0 <= self.port <= 65535:
            raise ValueError(f"server.port = {self.port} is not a port; use 0 to 65535.")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("server.tls_certificate and server.tls_key belong together: set both or none.")
        for name in ("body_timeout_s", "write_timeout_s", "keep_alive_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"server.{name} must be more than 0 seconds.")

    @property
    def scheme(self) -> str:
        """What clients write before the address."""
        return "http" if self.tls_certificate is None else "https"

    @property
    def cache_dir(self) -> Path:
        """Home of the prefix cache on disk."""
        return self.data_dir / "cache"

    @property
    def audit_file(self) -> Path:
        """Where changes of accounts and keys are written down."""
        return self.data_dir / "audit.jsonl"

    @property
    def models_folder(self) -> Path:
        """Home of downloaded models."""
        return self.data_dir / "models" if self.models_dir is None else self.models_dir
