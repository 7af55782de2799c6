"""Fetching against a real HTTP server on loopback: what may go wrong does."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from stages.dti.config.acquire import AcquireConfig
from stages.dti.config.dataset import SourceFile
from stages.dti.data.sources.fetch import Fetched, Fetcher, suffix_of
from stages.dti.errors import DataError

TABLE = b"smiles,sequence,label\nCCO,MKTAYIAKQR,1\n"
DIGEST = sha256(TABLE).hexdigest()
CONFIG = AcquireConfig(timeout_s=5, attempts=3, retry_wait_s=0)


class Server(ThreadingHTTPServer):
    """Answers each path with its next scripted answer; the last one stays."""

    answers: dict[str, list[tuple[int, bytes, int]]]
    requests: list[str]

    def script(self, path: str, *answers: tuple[int, bytes] | tuple[int, bytes, int]) -> str:
        """Set the answers of a path: status, body, and the length that is claimed."""
        full = [answer if len(answer) == 3 else (*answer, len(answer[1])) for answer in answers]
        self.answers[path] = full
        return self.url(path)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        answers = self.server.answers.get(self.path, [(404, b"", 0)])
        status, body, length = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), Handler)
    running.answers, running.requests = {}, []
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    return Fetcher(CONFIG, root=tmp_path, cache=tmp_path / "cache")


def only_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_downloads_and_reports_what_arrived(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    url = server.script("/a.csv", (200, TABLE))
    fetched = fetcher.fetch(SourceFile(url=url), tmp_path / "a.csv")
    assert fetched == Fetched(DIGEST, len(TABLE))
    assert (tmp_path / "a.csv").read_bytes() == TABLE


def test_a_long_download_tells_how_much_has_arrived(
    server: Server,
    fetcher: Fetcher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("stages.dti.runtime.progress.FIRST_S", 0.0)
    monkeypatch.setattr("stages.dti.runtime.progress.GROWTH", 0.0)
    large = TABLE + b"CCO,MKTAYIAKQR,1\n" * 800_000
    fetcher.fetch(SourceFile(url=server.script("/b.csv", (200, large))), tmp_path / "b.csv")
    told = [line for line in caplog.messages if line.startswith("megabytes of b.csv: ")]
    assert re.fullmatch(r"megabytes of b\.csv: \d+ of 14, about \d+ s left", told[0])
    assert re.match(r"megabytes of b\.csv: 14 of 14, done in \d+ s", told[-1])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, TABLE[:20], len(TABLE)), "truncated download"),
        ((200, b""), "the file is empty"),
        ((200, b"\xef\xbb\xbf\n <!DOCTYPE html><html>log in</html>"), "an HTML page"),
        ((200, b"<html><body>moved</body></html>"), "an HTML page"),
        ((200, b"<HEAD><title>moved</title></HEAD>"), "an HTML page"),
        (
            (200, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
            "a Git LFS pointer",
        ),
        ((404, b""), "not found"),
        ((403, b""), "the server answered 403"),
        ((503, b""), "the server answered 503"),
    ],
)
def test_refuses_what_is_no_data_file(
    server: Server,
    fetcher: Fetcher,
    tmp_path: Path,
    answer: tuple[int, bytes],
    message: str,
) -> None:
    url = server.script("/a.csv", answer)
    with pytest.raises(DataError, match=message) as caught:
        fetcher.fetch(SourceFile(url=url), tmp_path / "a.csv")
    assert url in str(caught.value)
    assert only_files(tmp_path) == []
    assert not (tmp_path / "cache" / "files").exists() or not only_files(tmp_path / "cache/files")


def test_refuses_another_sha256_than_the_pinned(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    url = server.script("/a.csv", (200, TABLE))
    with pytest.raises(DataError, match=f"sha256 is {DIGEST}.*{'0' * 64} was expected"):
        fetcher.fetch(SourceFile(url=url, sha256="0" * 64), tmp_path / "a.csv")
    assert only_files(tmp_path) == []
    assert len(server.requests) == 1  # the same bytes would come again


def test_tries_again_after_failing_answers(
    server: Server, fetcher: Fetcher, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.script("/a.csv", (503, b""), (200, TABLE[:20], len(TABLE)), (200, TABLE))
    with caplog.at_level(logging.WARNING):
        fetcher.fetch(SourceFile(url=url), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == TABLE
    assert len(server.requests) == 3
    assert "attempt 1 failed: the server answered 503" in caplog.text
    assert "attempt 2 failed: truncated download" in caplog.text


@pytest.mark.parametrize("status", [408, 429, 500])
def test_tries_again_after_an_answer_that_may_pass(
    server: Server, fetcher: Fetcher, tmp_path: Path, status: int
) -> None:
    url = server.script("/a.csv", (status, b""), (200, TABLE))
    fetcher.fetch(SourceFile(url=url), tmp_path / "a.csv")
    assert len(server.requests) == 2


def test_does_not_try_again_what_cannot_pass(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="not found; check the URL"):
        fetcher.fetch(SourceFile(url=server.url("/none.csv")), tmp_path / "a.csv")
    assert len(server.requests) == 1


def test_gives_up_on_a_silent_server(server: Server, tmp_path: Path) -> None:
    # The claimed length is never reached, and the connection stays open until the test ends.
    release = threading.Event()

    class Silent(Handler):
        def do_GET(self) -> None:
            self.server.requests.append(self.path)
            release.wait(30)

    server.RequestHandlerClass = Silent
    config = AcquireConfig(timeout_s=0.1, attempts=2, retry_wait_s=0)
    fetcher = Fetcher(config, root=tmp_path, cache=tmp_path / "cache")
    try:
        with pytest.raises(DataError, match=r"no answer within acquire\.timeout_s.*attempt 2 of 2"):
            fetcher.fetch(SourceFile(url=server.url("/a.csv")), tmp_path / "a.csv")
    finally:
        release.set()
    assert len(server.requests) == 2


def test_pinned_file_comes_from_the_cache_without_network(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    file = SourceFile(url=server.script("/a.csv", (200, TABLE)), sha256=DIGEST)
    fetcher.fetch(file, tmp_path / "a.csv")
    fetcher.fetch(file, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_bytes() == TABLE
    assert len(server.requests) == 1
    assert not (tmp_path / "b.csv").is_symlink()


def test_unpinned_file_is_fetched_anew_each_time(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    url = server.script("/a.csv", (200, b"old,1\n"), (200, b"new,1\n"))
    fetcher.fetch(SourceFile(url=url), tmp_path / "a.csv")
    fetcher.fetch(SourceFile(url=url), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == b"new,1\n"


def test_offline_the_last_copy_of_an_unpinned_file_is_used_with_a_warning(
    server: Server, fetcher: Fetcher, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = server.script("/a.csv", (200, TABLE), (503, b""))
    fetcher.fetch(SourceFile(url=url), tmp_path / "a.csv")
    with caplog.at_level(logging.WARNING):
        fetched = fetcher.fetch(SourceFile(url=url), tmp_path / "b.csv")
    assert fetched.sha256 == DIGEST
    assert "using the copy downloaded before" in caplog.text


def test_offline_no_other_copy_stands_for_a_pinned_file(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    url = server.script("/a.csv", (200, TABLE), (503, b""))
    fetcher.fetch(SourceFile(url=url), tmp_path / "a.csv")
    with pytest.raises(DataError, match="the server answered 503"):
        fetcher.fetch(SourceFile(url=url, sha256="0" * 64), tmp_path / "b.csv")


def test_a_damaged_cache_entry_is_not_used(
    server: Server, fetcher: Fetcher, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = SourceFile(url=server.script("/a.csv", (200, TABLE)), sha256=DIGEST)
    fetcher.fetch(file, tmp_path / "a.csv")
    (tmp_path / "cache" / "files" / DIGEST).write_bytes(b"damaged")
    fetcher.fetch(file, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_bytes() == TABLE
    assert len(server.requests) == 2
    assert "is damaged" in caplog.text


def test_mirror_folder_stands_for_the_public_host(tmp_path: Path) -> None:
    place = tmp_path / "mirror" / "owner" / "repository" / "main" / "a file.csv"
    place.parent.mkdir(parents=True)
    place.write_bytes(TABLE)
    fetcher = Fetcher(CONFIG, tmp_path, tmp_path / "cache", mirror=str(tmp_path / "mirror"))
    url = "https://raw.example.org/owner/repository/main/a%20file.csv"
    assert fetcher.fetch(SourceFile(url=url), tmp_path / "a.csv").sha256 == DIGEST
    with pytest.raises(DataError, match=r"there is no file .*gone\.csv \(DTI_MIRROR stands for"):
        fetcher.fetch(SourceFile(url=url.replace("a%20file", "gone")), tmp_path / "b.csv")


def test_mirror_base_url_stands_for_the_public_host(server: Server, tmp_path: Path) -> None:
    base = server.url("/base/")
    server.script("/base/owner/repository/main/a.csv?raw=1", (200, TABLE))
    fetcher = Fetcher(CONFIG, tmp_path, tmp_path / "cache", mirror=base)
    url = "https://raw.example.org/owner/repository/main/a.csv?raw=1"
    assert fetcher.fetch(SourceFile(url=url), tmp_path / "a.csv").sha256 == DIGEST


def test_mirror_leaves_local_and_other_urls_alone(tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_bytes(TABLE)
    with fsspec.open("memory://bucket/my.csv", "wb") as file:
        file.write(TABLE)
    fetcher = Fetcher(CONFIG, tmp_path, tmp_path / "cache", mirror=str(tmp_path / "mirror"))
    for url in ("my.csv", (tmp_path / "my.csv").as_uri(), "memory://bucket/my.csv"):
        assert fetcher.fetch(SourceFile(url=url), tmp_path / "copy.csv").sha256 == DIGEST


def test_s3(
    server: Server, fetcher: Fetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url(""))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "test")
    server.script("/bucket/a.csv", (200, TABLE))
    server.script("/bucket/denied.csv", (403, b""))
    file = SourceFile(url="s3://bucket/a.csv")
    assert fetcher.fetch(file, tmp_path / "a.csv") == Fetched(DIGEST, len(TABLE))
    with pytest.raises(DataError, match="Forbidden; check the URL and your access"):
        fetcher.fetch(SourceFile(url="s3://bucket/denied.csv"), tmp_path / "b.csv")
    assert only_files(tmp_path) == ["a.csv"]


def test_missing_local_file_names_the_path(fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"my\.csv: there is no file .*relative to the repository"):
        fetcher.fetch(SourceFile(url="my.csv"), tmp_path / "a.csv")


def test_unknown_kind_of_url_is_a_data_error(fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nonsense://a\.csv: ValueError: Protocol not known"):
        fetcher.fetch(SourceFile(url="nonsense://a.csv"), tmp_path / "a.csv")


def test_environment_names_mirror_and_cache(tmp_path: Path) -> None:
    chosen = {"DTI_MIRROR": "mirror", "DTI_CACHE": "kept"}
    fetcher = Fetcher.from_environment(CONFIG, tmp_path, chosen)
    assert (fetcher.mirror, fetcher.cache) == ("mirror", tmp_path / "kept")
    default = Fetcher.from_environment(CONFIG, tmp_path, {"DTI_MIRROR": ""})
    assert default.mirror is None
    assert default.cache == Path.home() / ".cache" / "drug-repurposing-pipeline"


@pytest.mark.parametrize(
    ("url", "suffix"),
    [
        ("data/my.csv", ".csv"),
        ("https://h/a/BindingDB_All.tsv.zip?x=1.html", ".tsv.zip"),
        ("https://h/Davis_et_al.2011v1.txt", ".txt"),
        ("https://h/download", ""),
    ],
)
def test_suffix_of(url: str, suffix: str) -> None:
    assert suffix_of(url) == suffix
