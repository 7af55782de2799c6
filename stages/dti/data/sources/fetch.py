"""Fetching a source's files: any URL that fsspec opens, or a local path; whole, or not at all."""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
import fsspec
from fsspec.callbacks import Callback
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential

from stages.dti.config.acquire import AcquireConfig
from stages.dti.config.dataset import SourceFile
from stages.dti.errors import DataError, DtiError
from stages.dti.files import write_file, write_text
from stages.dti.runtime.progress import ProgressLog

logger = logging.getLogger(__name__)

MIRROR_VARIABLE = "DTI_MIRROR"
CACHE_VARIABLE = "DTI_CACHE"
_DEFAULT_CACHE = "~/.cache/drug-repurposing-pipeline"

_MAX_WAIT_S = 60.0
_COMPRESSED_SUFFIXES = (".gz", ".zip", ".bz2", ".xz")


@dataclass(frozen=True)
class Fetched:
    """What arrived."""

    sha256: str
    bytes: int


class _Told(Callback):  # type: ignore[misc]
    """Logs how much of a download has arrived."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._log: ProgressLog | None = None
        self._megabytes = 0

    def call(self, *_: Any, **__: Any) -> None:
        """Called by fsspec after each piece, with the size known if the server tells it."""
        total = None if self.size is None else math.ceil(self.size / 1e6)
        if self._log is None:
            self._log = ProgressLog(f"megabytes of {self._name}", total)
        arrived = int(self.value / 1e6)
        if self.size is not None and self.value >= self.size:
            arrived = math.ceil(self.size / 1e6)
        if arrived > self._megabytes:
            self._log.advance(arrived - self._megabytes)
            self._megabytes = arrived


@dataclass(frozen=True)
class Fetcher:
    """Fetches files; knows the mirror, the cache and the limits of a download.

    Attributes:
        root: local paths are relative to it.
        cache: folder of downloaded files, kept by their sha256; local files are not kept.
        mirror: folder or base URL that stands for scheme and host of every http(s) URL.
    """

    config: AcquireConfig
    root: Path
    cache: Path
    mirror: str | None = None

    @classmethod
    def from_environment(
        cls, config: AcquireConfig, root: Path, environment: Mapping[str, str] = os.environ
    ) -> Fetcher:
        """Read DTI_MIRROR and DTI_CACHE."""
        cache = Path(environment.get(CACHE_VARIABLE) or _DEFAULT_CACHE).expanduser()
        return cls(config, root, root / cache, environment.get(MIRROR_VARIABLE) or None)

    def fetch(self, file: SourceFile, destination: Path) -> Fetched:
        """Copy or download one file to ``destination``.

        A downloaded file whose sha256 is pinned is taken from the cache without any network. One
        that is not pinned is downloaded each time, so that a change is noticed; if that fails,
        the copy downloaded last is used, with a warning.

        Raises:
            DataError: it cannot be had, or is not what it should be; ``destination`` is then not
                written.
        """
        address = self._address(file.url)
        local = _local_path(address)
        if local is not None:
            return self._copy(self.root / local, file, destination)
        cached = self._from_cache(file.sha256)
        if cached is None:
            try:
                return self._download(address, file, destination)
            except _UnreachableError as error:
                cached = self._from_cache(self._last_sha256(address))
                if cached is None or file.sha256 is not None:
                    raise DataError(f"{error}{self._mirror_hint(file.url)}") from error
                logger.warning("%s; using the copy downloaded before, from %s", error, self.cache)
        with write_file(destination) as temporary:
            shutil.copyfile(cached, temporary)
            return _check(temporary, file)

    def _address(self, url: str) -> str:
        """Return ``url`` with the mirror in place of the public host, if there is a mirror."""
        parts = urlsplit(url)
        if self.mirror is None or parts.scheme not in ("http", "https"):
            return url
        if "://" in self.mirror:
            query = f"?{parts.query}" if parts.query else ""
            return f"{self.mirror.rstrip('/')}{parts.path}{query}"
        return f"{self.mirror.rstrip('/')}{unquote(parts.path)}"

    def _mirror_hint(self, url: str) -> str:
        if self.mirror is None or self._address(url) == url:
            return ""
        return f" ({MIRROR_VARIABLE} stands for the host of {url})"

    def _copy(self, origin: Path, file: SourceFile, destination: Path) -> Fetched:
        if not origin.is_file():
            raise DataError(
                f"{file.url}: there is no file {origin}{self._mirror_hint(file.url)}; "
                "a local path is relative to the repository root"
            )
        with write_file(destination) as temporary:
            shutil.copyfile(origin, temporary)
            return _check(temporary, file)

    def _download(self, address: str, file: SourceFile, destination: Path) -> Fetched:
        with write_file(destination) as temporary:
            self._transfer(address, temporary)
            fetched = _check(temporary, file)
            with write_file(self._blob(fetched.sha256)) as blob:
                shutil.copyfile(temporary, blob)
            write_text(self._record(address), fetched.sha256 + "\n")
            return fetched

    def _transfer(self, address: str, temporary: Path) -> None:
        def attempt() -> None:
            filesystem, path = fsspec.core.url_to_fs(
                address, **_limits(address, self.config.timeout_s)
            )
            name = PurePosixPath(urlsplit(address).path).name
            filesystem.get_file(path, str(temporary), callback=_Told(name))

        def warn(state: RetryCallState) -> None:
            assert state.outcome is not None
            reason = _describe(state.outcome.exception())
            logger.warning(
                "%s: attempt %d failed: %s; trying again", address, state.attempt_number, reason
            )

        retrying = Retrying(
            stop=stop_after_attempt(self.config.attempts),
            wait=wait_exponential(multiplier=self.config.retry_wait_s, max=_MAX_WAIT_S),
            retry=retry_if_exception(_is_passing),
            before_sleep=warn,
            reraise=True,
        )
        try:
            retrying(attempt)
        except DtiError:  # the stage's time limit
            raise
        except ImportError as error:
            raise DataError(
                f"{address}: this kind of URL needs a package: {error}; "
                'install it, or `pip install ".[pipeline]"` for s3'
            ) from error
        except Exception as error:
            if not _is_passing(error):
                raise DataError(
                    f"{address}: {_describe(error)}; check the URL and your access to it"
                ) from error
            raise _UnreachableError(
                f"{address}: {_describe(error)} (attempt {self.config.attempts} of "
                f"{self.config.attempts}); check the network and run the stage again"
            ) from error

    def _from_cache(self, digest: str | None) -> Path | None:
        """Return the cached file of this sha256, if it is there and unharmed."""
        if digest is None or not (blob := self._blob(digest)).is_file():
            return None
        if _sha256(blob) != digest:
            logger.warning("%s is damaged; fetching the file anew", blob)
            blob.unlink()
            return None
        return blob

    def _last_sha256(self, address: str) -> str | None:
        record = self._record(address)
        return record.read_text(encoding="utf-8").strip() if record.is_file() else None

    def _blob(self, digest: str) -> Path:
        return self.cache / "files" / digest

    def _record(self, address: str) -> Path:
        return self.cache / "urls" / sha256(address.encode()).hexdigest()


class _UnreachableError(Exception):
    """The file did not arrive for a reason that may pass."""


def suffix_of(url: str) -> str:
    """Return the suffix that a local copy keeps: ``.csv``, ``.tsv.zip``, or nothing."""
    suffixes = PurePosixPath(unquote(urlsplit(url).path)).suffixes
    kept = (
        suffixes[-2:] if suffixes[-1:] and suffixes[-1] in _COMPRESSED_SUFFIXES else suffixes[-1:]
    )
    return "".join(kept)


def _local_path(address: str) -> str | None:
    """Return the path if the address is a local file, else ``None``."""
    if address.startswith("file://"):
        return unquote(urlsplit(address).path)
    return None if "://" in address else address


def _limits(address: str, timeout_s: float) -> dict[str, Any]:
    """Return the options by which the file system of this URL gives up on a silent server."""
    scheme = urlsplit(address).scheme
    if scheme in ("http", "https"):
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s)
        return {"client_kwargs": {"timeout": timeout, "trust_env": True}}  # trust_env: proxies
    if scheme in ("s3", "s3a"):
        return {"config_kwargs": {"connect_timeout": timeout_s, "read_timeout": timeout_s}}
    return {}


def _is_passing(error: BaseException) -> bool:
    """Say whether the same request may succeed later."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status >= 500 or error.status in (408, 429)
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError)):
        return False
    return isinstance(error, (aiohttp.ClientError, TimeoutError, OSError))


def _describe(error: BaseException | None) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the server answered {error.status} {error.message}"
    if isinstance(error, FileNotFoundError):
        return "not found"
    if isinstance(error, TimeoutError):
        return "no answer within acquire.timeout_s"
    if isinstance(error, aiohttp.ClientPayloadError):
        return f"truncated download: {error}"
    return f"{type(error).__name__}: {error}"


def _check(path: Path, file: SourceFile) -> Fetched:
    """Refuse what is no data file, or another one than was pinned."""
    with path.open("rb") as opened:
        start = opened.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    size = path.stat().st_size
    if size == 0:
        raise DataError(f"{file.url}: the file is empty")
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        raise DataError(
            f"{file.url}: this is an HTML page, not a data file; open it in a browser: "
            "the link may have moved, or ask for a login"
        )
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        raise DataError(
            f"{file.url}: this is a Git LFS pointer, not the file; use the URL of the file itself"
        )
    digest = _sha256(path)
    if file.sha256 is not None and digest != file.sha256:
        raise DataError(
            f"{file.url}: its sha256 is {digest} ({size} bytes), {file.sha256} was expected: "
            "truncated, altered, or a new version; fetch again, or set sha256 if the new version "
            "is wanted"
        )
    return Fetched(digest, size)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
