"""One server can hold several models, each behind a path and workers of its own."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import httpx
import pytest

from serve.http.schemas import EXAMPLES
from tests.support.service_process import running

TWO = """
import os, sys
from pathlib import Path
from serve.http.middleware import middleware
from serve.inference.api import PredictionAPI
from serve.inference.source import Source
from serve.server.processes import PredictionServer
from serve.settings import load_settings
from serve.telemetry.logs import configure_logging

if __name__ == "__main__":
    settings = load_settings([], os.environ).serve
    configure_logging(settings.log_level)
    first, second = (Source(Path(folder)) for folder in sys.argv[1:])
    apis = [PredictionAPI(settings, first), PredictionAPI(settings, second, "/challenger/predict")]
    sys.exit(PredictionServer(settings, apis, middleware(settings)).serve())
"""


@pytest.mark.slow  # starts a service of its own, with two workers
def test_two_models_side_by_side(model_folder: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered"
    shutil.copytree(model_folder, altered)
    path = altered / "calibration.json"
    path.write_text(path.read_text().replace('"threshold": 0.45', '"threshold": 0.55'))
    script = tmp_path / "two.py"
    script.write_text(TWO)
    command = [sys.executable, str(script), str(model_folder), str(altered)]
    body = json.loads((EXAMPLES / "caffeine_a2a.json").read_text())

    with running(model_folder, tmp_path / "log.txt", command=command) as service:

        def both_have_spoken() -> bool:
            if service.status() is None:
                return False
            statuses = [
                httpx.post(f"{service.url}{path}", json=body, timeout=60)
                for path in ("/predict", "/challenger/predict")
            ]
            return statuses[0].status_code == 200 and "altered" in statuses[1].text

        service.wait_until(both_have_spoken, "one model to be ready, the other to be refused")
        health = httpx.get(f"{service.url}/health")
        assert health.status_code == 503  # as its worst API
        assert "altered" in health.json()["detail"]
        assert httpx.get(f"{service.url}/model/info").json()["threshold"] == 0.45
        assert service.stop() == (0, [])
