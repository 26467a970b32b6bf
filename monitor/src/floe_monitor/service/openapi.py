"""The API's OpenAPI document, from the models that it answers with (pure)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from floe_core.plugin_interfaces.alert_channel import ViolationType
from floe_monitor.service import api_documents as documents
from floe_monitor.service.api import CONTENT_TYPES, CONTRACTS, LARGEST_PAGE, OF_NAME, OF_VERSION, PAGE

_MODELS: Final[Sequence[type[BaseModel]]] = (
    documents.ContractList,
    documents.ContractDetail,
    documents.ContractHistory,
    documents.Registration,
    documents.RunResult,
    documents.Failure,
)
_REFUSALS: Final = {
    400: "The request cannot be read.",
    401: "The bearer token is missing or wrong.",
    404: "No such contract is known.",
    409: "This version is known with other content, or is a file of the directory; `differences` names what differs.",
    413: "The contract is larger than 1 MiB.",
    415: "The body is of a type that is no contract's.",
    422: "The contract is wrong; `problems` names each with file, line and field.",
    503: "The database cannot be reached, another replica watches the contract, or there is no token: ask again.",
}
_LIMIT: Final = {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE}
_PARTS: Final = {
    "product": "`domain.product`",
    "contract": "The contract's id",
    "version": "The contract's own version",
    "check": "The check",
}


def openapi_document(version: str) -> dict[str, Any]:
    """The document; `version` is the program's."""
    _, definitions = models_json_schema(
        [(model, "serialization") for model in _MODELS], ref_template="#/components/schemas/{model}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "floe contract monitor",
            "version": version,
            "description": "Registers data contracts (ODCS) with the monitor. A registered version never changes.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": _paths(),
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths() -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    contract = {"schema": {"type": "object", "description": "An ODCS contract, version 3.0 to 3.2"}}
    return {
        CONTRACTS: {
            "get": _operation(
                "listContracts",
                "Contracts that are watched, by name and version",
                {200: documents.ContractList},
                (422,),
                _query(
                    "limit",
                    f"At most so many, {PAGE} by default",
                    {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE},
                ),
                _query("after", "Only those behind this identity; `next` of the page before", {"type": "string"}),
                _query("active", "Watched ones, others, or all", {"enum": ["true", "false", "all"], "default": "true"}),
            ),
            "post": _operation(
                "registerContract",
                "Register a contract for good; once more with the same content changes nothing",
                {201: documents.Registration, 200: documents.Registration},
                (400, 409, 413, 415, 422),
                _query("file", "The contract's file, to name it in problems", {"type": "string"}),
            )
            | {
                "requestBody": {
                    "required": True,
                    "content": {kind: contract if "json" in kind else text for kind in CONTENT_TYPES},
                }
            },
        },
        OF_NAME: {
            "get": _operation(
                "listVersions",
                "All versions of a contract, the last registered first",
                {200: documents.ContractList},
                (404,),
                *_path("product", "contract"),
            )
        },
        OF_VERSION: {
            "get": _operation(
                "showContract",
                "A contract and how its promises stand",
                {200: documents.ContractDetail},
                (404,),
                *_path("product", "contract", "version"),
            ),
            "delete": _operation(
                "unregisterContract",
                "End the watching of a contract; its history stays",
                {204: None},
                (404, 409),
                *_path("product", "contract", "version"),
            ),
        },
        f"{OF_VERSION}/history": {
            "get": _operation(
                "showHistory",
                "What happened to a contract: registry, episodes, runs",
                {200: documents.ContractHistory},
                (404,),
                *_path("product", "contract", "version"),
            )
        },
        f"{OF_VERSION}/checks/{{check}}/run": {
            "post": _operation(
                "runCheck",
                "Run a check now, and wait for its result",
                {200: documents.RunResult},
                (404, 422),
                *_path("product", "contract", "version", "check"),
            )
        },
    }


def _operation(
    name: str,
    summary: str,
    answers: Mapping[int, type[BaseModel] | None],
    refusals: Sequence[int],
    *parameters: dict[str, Any],
) -> dict[str, Any]:
    found = {str(status): _told("Done.", model) for status, model in answers.items()}
    refused = {str(status): _told(_REFUSALS[status], documents.Failure) for status in (401, *refusals, 503)}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": list(parameters),
        "responses": dict(sorted((found | refused).items())),
    }


def _told(description: str, model: type[BaseModel] | None) -> dict[str, Any]:
    if model is None:
        return {"description": description}
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _path(*names: str) -> list[dict[str, Any]]:
    part = {"type": "string", "pattern": "^[^/:]+$"}
    checks = {"enum": [check.value for check in ViolationType]}
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PARTS[name],
            "schema": checks if name == "check" else part,
        }
        for name in names
    ]
