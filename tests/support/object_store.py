"""An S3 server of its own for a test: SeaweedFS on this machine's loopback, signatures enforced."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from botocore.session import get_session

WAIT_S = 60.0
REGION = "us-east-1"
BUCKET = "bucket"


@dataclass(frozen=True)
class ObjectStore:
    """Where the server listens and what opens it."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which every S3 client finds the credentials, before those of a file."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
        }

    def make_bucket(self) -> None:
        """Make the one bucket."""
        client = get_session().create_client(
            "s3",
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )
        client.create_bucket(Bucket=BUCKET)


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Start the server in a folder of its own, and stop it afterwards."""
    names = [
        f"{part}.port{kind}"
        for part in ("master", "volume", "filer", "s3")
        for kind in ("", ".grpc")
    ]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    store = ObjectStore(f"http://127.0.0.1:{ports['s3.port']}", "test", "only for this test")
    # Not pytest's folder: a socket's path has to be short.
    with tempfile.TemporaryDirectory(prefix="s3-") as folder:
        identity = {
            "name": "test",
            "credentials": [{"accessKey": store.access_key, "secretKey": store.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (Path(folder) / "s3.json").write_text(json.dumps({"identities": [identity]}))
        command = [
            Path(sys.executable).with_name("weed"), "-logtostderr", "server", "-dir=.",
            "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            *(f"-{name}={port}" for name, port in ports.items()),
            "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=32",
            "-filer.localSocket=filer.sock",
            "-s3", "-s3.config=s3.json", "-s3.iam=false", "-s3.localSocket=s3.sock",
            "-s3.port.iceberg=0", "-s3.port.lance=0",
        ]  # fmt: skip
        with (Path(folder) / "log.txt").open("w+") as log:
            server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
            try:
                if not answers(store.endpoint, server):
                    log.seek(0)
                    raise AssertionError(f"the S3 server did not start:\n{log.read()[-4000:]}")
                store.make_bucket()
                yield store
            finally:
                server.terminate()
                server.wait(WAIT_S)
                # The server has no option for this one's place.
                Path(f"/tmp/seaweedfs-s3-grpc-{ports['s3.port.grpc']}.sock").unlink(missing_ok=True)


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nothing listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def answers(endpoint: str, server: subprocess.Popen[bytes]) -> bool:
    """Wait until the server answers a request without a signature, by refusing it."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(endpoint, timeout=5)
        except urllib.error.HTTPError as error:
            return error.code == 403
        except OSError:
            time.sleep(0.2)
    return False
