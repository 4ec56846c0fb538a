"""Facts of picofaas that schemathesis must know and OpenAPI cannot say."""

import pathlib
import re

import schemathesis
import yaml
from schemathesis.core.failures import ServerError
from schemathesis.openapi.checks import RejectedPositiveData, UseAfterFree

# Longest that one request of this run may make the server wait, where waiting is what it asks for.
WAIT_MS_MAX = 1000

# How an execution may end that is not the control plane's fault: requests make up functions behind
# addresses where nobody listens, and time-outs of a millisecond. No other 5xx is excused.
EXCUSED_ENDS = {
    ("invoke", 502, "NO_INSTANCE"),
    ("invoke", 504, "TIMEOUT"),
    ("readOutput", 502, "NO_INSTANCE"),
    ("readOutput", 504, "TIMEOUT"),
}

# Rules between fields and within texts that the schema says in words only. A function that breaks
# one of them is rightly refused though the schema takes it; any other fault of it is not.
EXCUSED_FAULTS = re.compile(
    "|".join(
        [
            r"is only for executionMode ",
            r"is required with executionMode ",
            r"is required: there is no cluster here ",
            r"needs the kubernetes backend",
            # Of a config map or a secret that this machine has no lines of.
            r"has no value here; add ",
            r"must not be given beside (valueFrom|secretRef|secretKeyRef|configMapKeyRef)$",
            r"must have one of secret",
            r"is required unless operator is Exists$",
            r"must be left out with operator Exists$",
            r"is only for effect NoExecute$",
            r"must not begin with picofaas\.dev/",
            r"must not exceed ",
            # Of web.origins.
            r"or \"\*\" for every page; is ",
            r"must hold at most \d+ origins",
            r"must be at least retryBackoffMs",
            r"names .* a second time",
            r"must be between 0 and replicas.max",
            r"must be between (1m and 1024 cores|1Mi and 64Ti bytes)",
            r"must have a port between ",
            r"must name a host: ",
            r"must name a socket by an absolute path ",
            r"must be \S+ or absent, is ",
            # Of a quantity at most 18 digits are taken, and a number of JSON may have more.
            r"must be a Kubernetes quantity: .*; is \"[\d.]{19,}",
            # To JSON Schema 4.0 is a whole number; to the registry it is a slip.
            r"must be a whole number between .* is -?\d+(\.0)?(e\+?\d+)?$",
        ]
    )
)

DOCUMENT = yaml.safe_load((pathlib.Path(__file__).parents[2] / "openapi.yaml").read_text(encoding="utf-8"))
# Status and source of each.
CODES = {
    one["const"]: one["title"].split() for one in DOCUMENT["components"]["schemas"]["ErrorCode"]["oneOf"]
}


def error(response):
    """`error` of an answer, or nothing where there is none of the usual form."""
    try:
        found = response.json().get("error")
    except (ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


# Functions that are there to the end of the run, so that something is invoked.
KEPT = ("echo", "pool")


@schemathesis.hook
def before_call(context, case, kwargs):
    """Made-up functions call nobody but this machine, and no request waits for long."""
    identity = case.operation.definition.raw.get("operationId")
    if identity in ("deleteFunction", "putFunction") and case.path_parameters.get("name") in KEPT:
        case.path_parameters["name"] = "nobody"
    local = "http://127.0.0.1:9/"
    body = case.body if isinstance(case.body, dict) else {}
    urls = body.get("endpointUrl")
    if isinstance(urls, str) and urls.startswith("http://"):
        body["endpointUrl"] = re.sub(r"^http://[^/?#@]*", local.rstrip("/"), urls)
    elif isinstance(urls, list):
        # Different ones stay different.
        body["endpointUrl"] = [
            f"{local}{at}" if isinstance(url, str) and url.startswith("http://") else url
            for at, url in enumerate(urls)
        ]
    if identity == "invoke" and case.path_parameters.get("name") not in KEPT:
        given = str(case.headers.get("X-Timeout-Ms", WAIT_MS_MAX + 1))
        if given.isdecimal() and int(given) > WAIT_MS_MAX:
            case.headers["X-Timeout-Ms"] = str(WAIT_MS_MAX)
    if identity in ("functionLogs", "executionLogs") and str(case.query.get("follow")) in ("true", "1"):
        # It would go on for as long as the client stays.
        case.query["follow"] = "false"
    if identity in ("readExecution", "readOutput") and str(case.query.get("wait", "")).isdecimal():
        seconds = int(case.query["wait"])
        if WAIT_MS_MAX // 1000 < seconds <= 60:
            case.query["wait"] = WAIT_MS_MAX // 1000


@schemathesis.hook
def filter_headers(context, headers):
    """A key of spaces is an empty one when it has gone through HTTP."""
    return str((headers or {}).get("Idempotency-Key", "key")).strip() != ""


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops what is the function's end or the client's mistake, and nothing else."""
    identity = case.operation.definition.raw.get("operationId")
    said = error(response)
    if isinstance(failure, ServerError):
        return (identity, response.status_code, said.get("code")) not in EXCUSED_ENDS
    if isinstance(failure, UseAfterFree):
        # To delete an execution is to cancel it: how it ended can be read.
        return identity not in ("readExecution", "readOutput")
    if isinstance(failure, RejectedPositiveData):
        # Earlier requests decide on these, and not the request alone.
        if said.get("code") == "VERSION_MISMATCH":
            return False
        if said.get("code") == "IDEMPOTENCY_MISMATCH":
            return False
        if identity == "listExecutions" and "cursor" in said.get("message", ""):
            # Only a page makes a cursor that is taken.
            return False
        if identity == "listExecutions" and "does not go with" in said.get("message", ""):
            # Which parameters exclude each other, a schema of one parameter cannot say.
            return False
        if identity == "invoke" and response.headers.get("x-error-source") == ["function"]:
            # It was invoked: what it makes of its input is its own affair.
            return False
        faults = [fault["message"] for fault in said.get("details", [])]
        if said.get("code") == "INVALID_FUNCTION" and faults:
            return not all(EXCUSED_FAULTS.search(fault) for fault in faults)
        if identity == "putReplicas" and "invalid type: floating point" in said.get("message", ""):
            return False
        if identity == "completeJob" and "do not go together" in said.get("message", ""):
            return False
    return True


@schemathesis.check
def code_has_its_status(context, response, case):
    """A refusal has the status and the source that the document gives its code."""
    said = error(response)
    if response.status_code < 400 or "executionId" in response.json():
        return
    status, source = CODES[said["code"]]
    assert int(status) == response.status_code, f"{said['code']} with {response.status_code}"
    assert response.headers["x-error-source"] == [source], response.headers
