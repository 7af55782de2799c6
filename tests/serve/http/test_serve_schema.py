"""The OpenAPI schema says what the service does: requests made from it, answers checked by it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from serve.http.schemas import MAX_PAIRS
from tests.support.service_process import Service


@pytest.fixture(scope="module")
def schema(service: Service) -> Any:
    """The schema that the running service publishes."""
    return schemathesis.openapi.from_url(f"{service.url}/openapi.json")


@pytest.mark.parametrize(
    ("method", "path", "mode", "requests"),
    [
        ("POST", "/predict", schemathesis.GenerationMode.POSITIVE, 25),
        ("POST", "/predict", schemathesis.GenerationMode.NEGATIVE, 25),
        ("GET", "/health", schemathesis.GenerationMode.POSITIVE, 1),
        ("GET", "/model/info", schemathesis.GenerationMode.POSITIVE, 1),
        ("GET", "/model/targets", schemathesis.GenerationMode.POSITIVE, 1),
    ],
)
def test_service_keeps_its_schema(
    schema: Any, method: str, path: str, mode: schemathesis.GenerationMode, requests: int
) -> None:
    """Valid requests are accepted, invalid ones refused, and each answer is as documented."""

    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=requests,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        case.call_and_validate()

    check()


def test_schema_states_the_whole_contract(service: Service) -> None:
    document = httpx.get(f"{service.url}/openapi.json").json()
    assert set(document["paths"]) == {"/predict", "/health", "/model/info", "/model/targets"}
    predict = document["paths"]["/predict"]["post"]
    assert set(predict["responses"]) == {"200", "400", "413", "422", "500", "503", "504"}
    error = predict["responses"]["422"]["content"]["application/json"]["schema"]
    assert error == {"$ref": "#/components/schemas/ErrorBody"}
    body = predict["requestBody"]["content"]["application/json"]
    assert set(body["examples"]) == {"caffeine_a2a", "two_pairs"}
    assert (
        document["components"]["schemas"]["PredictSeveral"]["properties"]["pairs"]["maxItems"]
        == MAX_PAIRS
    )
    assert document["paths"]["/health"]["get"]["responses"].keys() == {"200", "503"}


def test_documentation_page(service: Service) -> None:
    page = httpx.get(f"{service.url}/docs")
    assert page.status_code == 200
    assert "swagger-ui" in page.text
