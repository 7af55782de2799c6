"""The service over real HTTP: one process tree for the whole file, started as users start it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from serve.http.schemas import EXAMPLES
from stages.dti.artifacts.export import EXPORTED
from stages.dti.artifacts.model_files import seal_export
from stages.dti.paths import ROOT
from stages.dti.prediction.predictor import Predictor
from stages.dti.prediction.types import Pair
from tests.support.service_process import Service, running

CAFFEINE = "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"


def example(name: str) -> dict[str, Any]:
    """Return one of the README's request bodies."""
    body: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text())
    return body


def ask(service: Service, body: Any) -> httpx.Response:
    """Post to /predict."""
    return httpx.post(f"{service.url}/predict", json=body, timeout=60)


def assert_same(row: dict[str, Any], predictor: Predictor, pair: Pair) -> None:
    """Every field of a row is, to the last bit, what a direct call gives under the same name."""
    direct = predictor.predict([pair])[0].model_dump(exclude={"drug_name", "target_name"})
    assert {field: row[field] for field in direct} == direct


def test_ready_service_says_so(service: Service, model_folder: Path) -> None:
    exported = json.loads((model_folder / "version.json").read_text())
    answer = httpx.get(f"{service.url}/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "detail": "3 golden predictions came out bit for bit",
        "model_name": "drugban",
        "model_version": exported["model_sha256"][:12],
    }


def test_readme_example_is_answered_as_by_the_predictor(
    service: Service, predictor: Predictor
) -> None:
    body = example("caffeine_a2a")
    assert len(body["target"]["sequence"]) == 412
    answer = ask(service, body)
    assert answer.status_code == 200
    row = answer.json()
    assert_same(row, predictor, Pair(body["drug"]["smiles"], body["target"]["sequence"]))
    assert row["status"] == "ok"
    assert row["drug_id"] == "CHEMBL113"
    assert row["smiles"] == "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
    assert row["target_id"] == "P29274"
    assert row["known_target_id"] is None  # a receptor, among kinases
    assert (row["drug_seen"], row["target_seen"], row["pair_seen"]) == (False, False, False)
    assert row["score_direction"] == "higher means more likely to interact"
    health = httpx.get(f"{service.url}/health").json()
    names = ("model_name", "model_version")
    assert [row[name] for name in names] == [health[name] for name in names]
    assert row["interacts"] is (row["probability"] >= row["threshold"])
    probability = row["probability"]
    assert row["confidence"] == (probability if row["interacts"] else 1 - probability)


def test_confidence_only_if_asked_for(service: Service) -> None:
    row = ask(service, example("caffeine_a2a") | {"return_confidence": False}).json()
    assert row["status"] == "ok"
    assert row["confidence"] is None


def test_broken_smiles_beside_a_good_one(service: Service, predictor: Predictor) -> None:
    body = example("two_pairs")
    answer = ask(service, body)
    assert answer.status_code == 200
    broken, good = answer.json()["predictions"]
    assert broken["status"] == "invalid"
    assert broken["drug_id"] == "broken"
    assert "SMILES" in broken["reason"]
    assert all(broken[field] is None for field in ("score", "probability", "interacts"))
    pair = body["pairs"][1]
    assert_same(good, predictor, Pair(pair["drug"]["smiles"], pair["target"]["sequence"]))


def test_known_target_by_id(service: Service, predictor: Predictor) -> None:
    known = predictor.content.reference.targets["target_id"].iloc[3]
    sequence = predictor.content.reference.targets["sequence"].iloc[3]
    for target in ({"target_id": known}, {"target_id": "ENSP003", "uniprot_id": known}):
        row = ask(service, {"drug": {"smiles": CAFFEINE}, "target": target}).json()
        assert row["known_target_id"] == known
        assert row["target_seen"] is True
        assert_same(row, predictor, Pair(CAFFEINE, sequence))


def test_unknown_target_id_names_the_nearest(service: Service, predictor: Predictor) -> None:
    known = predictor.content.reference.targets["target_id"].iloc[0]
    misspelt = known[:-1] + "X"
    row = ask(service, {"drug": {"smiles": CAFFEINE}, "target": {"target_id": misspelt}}).json()
    assert row["status"] == "invalid"
    assert misspelt in row["reason"]
    assert f"did you mean '{known}'" in row["reason"]


def test_concurrent_requests_each_get_their_own_answer(
    service: Service, predictor: Predictor
) -> None:
    reference = predictor.content.reference
    pairs = [
        Pair(reference.smiles[i], target_id=reference.targets["target_id"].iloc[i % 12])
        for i in range(20)
    ]
    pairs[7] = Pair("C1CC", target_id=pairs[7].target_id)  # must fail alone

    def one(pair: Pair) -> dict[str, Any]:
        body = {"drug": {"smiles": pair.smiles}, "target": {"target_id": pair.target_id}}
        row: dict[str, Any] = ask(service, body).json()
        return row

    with ThreadPoolExecutor(20) as clients:
        rows = list(clients.map(one, pairs))
    assert [row["status"] == "invalid" for row in rows] == [i == 7 for i in range(20)]
    assert len({row["score"] for row in rows}) == 20
    for row, pair in zip(rows, pairs, strict=True):
        assert_same(row, predictor, pair)


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ({"drug": {"smiles": CAFFEINE}}, "target", "Field required"),
        ({"drug": {"smiles": 3}, "target": {}}, "drug.smiles", "valid string"),
        (
            {"drug": {"smiles": CAFFEINE}, "target": {"sequnce": "M"}},
            "target.sequnce",
            "did you mean 'sequence'",
        ),
        ({"pairs": []}, "pairs", "at least 1 item"),
        (
            {"pairs": [{"drug": {"smiles": CAFFEINE}, "target": {}}] * 101},
            "pairs",
            "at most 100 items",
        ),
        ({"pairs": [{"drug": {"smiles": CAFFEINE}}]}, "pairs.0.target", "Field required"),
    ],
)
def test_malformed_body(service: Service, body: Any, field: str, problem: str) -> None:
    answer = ask(service, body)
    assert answer.status_code == 422
    first = answer.json()["problems"][0]
    assert first["field"] == field
    assert problem in first["problem"]


@pytest.mark.parametrize(
    ("content", "headers", "status", "detail"),
    [
        (b'{"pairs": [', {"Content-Type": "application/json"}, 422, "Expecting value"),
        (b"{}", {}, 422, "Content-Type: application/json"),
        (b'"\x80"', {"Content-Type": "application/json"}, 400, "parsing the body"),
        (
            b'{"drug": {"smiles": "\\ud800"}, "target": {"\\ud800": null}}',
            {"Content-Type": "application/json"},
            422,
            "unicode",
        ),
        (b" " * 1_100_000, {"Content-Type": "application/json"}, 413, "1048576 bytes"),
    ],
)
def test_body_that_is_no_request(
    service: Service, content: bytes, headers: dict[str, str], status: int, detail: str
) -> None:
    answer = httpx.post(f"{service.url}/predict", content=content, headers=headers)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]


def test_model_info_has_no_paths(service: Service, model_folder: Path) -> None:
    answer = httpx.get(f"{service.url}/model/info")
    assert answer.status_code == 200
    info = answer.json()
    assert info["sha256"] == json.loads((model_folder / "version.json").read_text())["model_sha256"]
    assert info["version"] == info["sha256"][:12]
    assert info["registered"] is None
    assert info["threshold"] == 0.45
    assert (info["train_drugs"], info["train_targets"], info["train_pairs"]) == (20, 12, 80)
    assert info["metrics"] == {"auroc": {"value": 0.5}}
    assert str(model_folder) not in answer.text


def test_model_targets(service: Service, predictor: Predictor) -> None:
    answer = httpx.get(f"{service.url}/model/targets").json()
    known = predictor.known_targets.table
    assert [row["target_id"] for row in answer["targets"]] == known["target_id"].tolist()
    by_name = {"target_name": answer["targets"][3]["target_name"]}
    row = ask(service, {"drug": {"smiles": CAFFEINE}, "target": by_name}).json()
    assert row["known_target_id"] == known["target_id"].iloc[3]


def test_a_lone_surrogate_does_not_fail_its_neighbours(service: Service) -> None:
    good = {"drug": {"smiles": CAFFEINE}, "target": {"target_name": "CDC7"}}
    bad = {"drug": {"smiles": CAFFEINE, "drug_id": "\ud800"}, "target": {"target_name": "CDC7"}}
    answer = httpx.post(
        f"{service.url}/predict",
        content=json.dumps({"pairs": [good, bad]}),
        headers={"Content-Type": "application/json"},
        timeout=60,
    )
    assert answer.status_code == 200
    assert [row["status"] for row in answer.json()["predictions"]] == ["ok", "invalid"]


def test_log_has_a_line_per_request_and_no_molecule(service: Service) -> None:
    httpx.get(f"{service.url}/a%0Ab")
    ask(service, example("two_pairs"))
    log = service.log.read_text()
    assert "POST /predict 200" in log
    assert "pairs=2 invalid=1" in log
    assert "GET /a\\nb 404" in log
    assert CAFFEINE not in log
    assert example("caffeine_a2a")["target"]["sequence"][:20] not in log


def other_golden_score(folder: Path) -> None:
    """As on a machine where the model answers otherwise."""
    golden = json.loads((folder / "golden.json").read_text())
    golden["pairs"][1]["score"] += 0.01
    (folder / "golden.json").write_text(json.dumps(golden))
    seal_export(folder, EXPORTED)


def other_threshold(folder: Path) -> None:
    path = folder / "calibration.json"
    path.write_text(path.read_text().replace('"threshold": 0.45', '"threshold": 0.55'))


@pytest.mark.parametrize(
    ("alter", "words"),
    [(other_golden_score, "golden pair 2"), (other_threshold, "calibration.json was altered")],
)
def test_altered_model_is_never_served(
    alter: Callable[[Path], None], words: str, model_folder: Path, tmp_path: Path
) -> None:
    altered = tmp_path / "model"
    shutil.copytree(model_folder, altered)
    alter(altered)

    with running(altered, tmp_path / "log.txt") as service:
        service.wait_until(lambda: service.status() is not None, "the service to listen")
        # Still loading: it says so, and refuses to predict.
        early = httpx.get(f"{service.url}/health").json()
        assert early["status"] in ("loading", "failed")
        assert ask(service, example("caffeine_a2a")).status_code == 503

        def failed() -> bool:
            return bool(httpx.get(f"{service.url}/health").json()["status"] == "failed")

        service.wait_until(failed, "the model to be refused")
        answer = httpx.get(f"{service.url}/health")
        assert answer.status_code == 503
        assert words in answer.json()["detail"]
        refused = ask(service, example("caffeine_a2a"))
        assert refused.status_code == 503
        assert words in refused.json()["detail"]

        code, left = service.stop()
    assert code == 0
    assert left == []


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m serve`` where it is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "serve"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_missing_model_ends_the_start(tmp_path: Path) -> None:
    result = start(MODEL_PATH=str(tmp_path / "nothing"))
    assert result.returncode == 1
    assert f"{tmp_path / 'nothing'} holds no model" in result.stderr
    assert "dvc repro" in result.stderr
    assert "Traceback" not in result.stderr


def test_taken_port_ends_the_start(model_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = start(MODEL_PATH=str(model_folder), PORT=str(port))
    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow  # starts a service of its own
def test_model_of_an_earlier_format_ends_the_start(model_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(model_folder, tmp_path / "model")
    (tmp_path / "model/files.json").unlink()
    with running(tmp_path / "model", tmp_path / "log.txt") as service:
        assert service.process.wait(60) == 1
    log = (tmp_path / "log.txt").read_text()
    assert "files.json is missing" in log
    assert "Traceback" not in log


@pytest.mark.slow
def test_killed_worker_is_replaced(model_folder: Path, tmp_path: Path) -> None:
    with running(model_folder, tmp_path / "log.txt") as service:
        service.wait_until(lambda: service.status() == 200, "the service to be ready")
        before = set(service.processes())
        worker = max(before, key=lambda process: process.memory_info().rss)
        worker.kill()
        service.wait_until(lambda: service.status() == 503, "the loss to be noticed")
        service.wait_until(lambda: service.status() == 200, "the service to be ready again")
        assert ask(service, example("caffeine_a2a")).status_code == 200
        assert len(service.processes()) == len(before)
        assert service.stop() == (0, [])


@pytest.mark.slow
def test_dead_http_process_ends_the_service(model_folder: Path, tmp_path: Path) -> None:
    with running(model_folder, tmp_path / "log.txt") as service:
        service.wait_until(lambda: service.status() == 200, "the service to be ready")
        family = service.processes()
        # The manager inherited the socket, but the HTTP process was started last.
        http = max(
            (process for process in family if process.net_connections("tcp")),
            key=psutil.Process.create_time,
        )
        http.kill()
        assert service.process.wait(60) == 1
        assert psutil.wait_procs(family, timeout=10)[1] == []
    assert "the HTTP process ended unexpectedly" in (tmp_path / "log.txt").read_text()
