"""Runs the examples of openapi.yaml against a server, and compares what comes with what is written.

    examples.py OPENAPI_YAML CLIENT_URL MANAGEMENT_URL RUNTIME_URL HANDOVER

The server has the function `word-stats-rust`, the `JOB` function `job` whose process writes its execution
id and its token, a space between, into the file HANDOVER and then sleeps, and no leave to run programs
given over HTTP. An example
has one name in everything it is made of: the parameters, the body, and the answer, whose status is
the one that is expected. The steps below are in an order that makes sense; each answer that the
document shows must be had by one of them, and each request that it shows must be made.
"""

import dataclasses
import http.client
import json
import os
import socket
import sys
import time
import urllib.parse

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

# Headers of the API: one that comes must be described, whatever else HTTP brings along.
OURS = ("x-", "retry-after", "etag", "location", "server-timing", "allow", "idempotency-replayed")


@dataclasses.dataclass
class Step:
    """One request: an example of an operation, or one that the document shows the answer of only."""

    operation: str
    example: str | None = None
    # Path parameters that no example of this name gives; a name in angle brackets was kept before.
    path: dict = dataclasses.field(default_factory=dict)
    query: dict = dataclasses.field(default_factory=dict)
    # A request that is wrong on purpose, which no example of a document that passes its lint can be.
    body: object = None
    # Where the document shows no answer.
    status: int | None = None
    # Keeps `executionId` of the answer under this name.
    keep: str | None = None
    # The message depends on the machine.
    message_varies: bool = False
    # The text depends on the machine.
    shown_varies: bool = False
    # Sends the token of the job.
    token: bool = False
    # Waits for the process of the job.
    job: bool = False


SILENT = "silent"

STEPS = [
    Step("healthz", "works"),
    Step("readyz", "ready"),
    Step("metrics", "scrape"),
    Step("openApi", "document"),
    Step("page", status=200),
    Step("debugState", status=200),
    Step("listFunctions", "all"),
    Step("readFunction", "wordStats"),
    Step("readFunction", "unknown"),
    Step("createFunction", "pool"),
    Step("createFunction", "exists"),
    Step("createFunction", "program"),
    Step(
        "createFunction",
        "faults",
        body={
            "name": "Thumbnails",
            "executionMode": "POOL",
            "endpointUrl": "https://127.0.0.1:9001",
            "timeoutMs": 0,
            "concurency": 8,
        },
    ),
    Step(
        "createFunction",
        "hidden",
        body={
            "name": "thumbnails",
            "executionMode": "POOL",
            "endpointUrl": "http://127.0.0.1:9001",
            "env": [{"name": "TOKEN", "valueHidden": True}],
        },
    ),
    Step("putFunction", "stale", path={"name": "thumbnails"}, message_varies=True),
    Step("putFunction", "replace", path={"name": "thumbnails"}),
    Step("functionLogs", "text", shown_varies=True),
    Step("functionLogs", "thumbnails"),
    Step("functionLogs", "unknown"),
    Step("putReplicas", "two"),
    Step("putReplicas", "thumbnails"),
    Step("putReplicas", "unknown", body={"replicas": 1}),
    Step("invoke", "wordStats"),
    Step("invoke", "keyed"),
    Step("enqueue", "keyed"),
    Step("invoke", "mismatch"),
    Step("enqueue", "mismatch"),
    Step("invoke", "badInput", message_varies=True),
    Step("invoke", "noInput", body={"inputs": {"text": "to be"}}),
    Step("invoke", "unknown"),
    Step("invoke", "unreachable", path={"name": "thumbnails"}, message_varies=True),
    Step("enqueue", "wordStats", keep="ended"),
    Step("enqueue", "noInput", body={"inputs": {"text": "to be"}}),
    Step("enqueue", "unknown"),
    Step("readExecution", "ended", path={"id": "<ended>"}),
    Step("listExecutions", "ended", status=200),
    Step("listExecutions", "slow", status=200),
    Step("readOutput", "bare", path={"id": "<ended>"}),
    Step("readOutput", "lost"),
    Step("readOutput", "never"),
    Step("readExecution", "tooLong", query={"wait": 61}),
    Step("readExecution", "lost"),
    Step("readExecution", "never"),
    Step("executionLogs", path={"id": "<ended>"}, status=200),
    Step("executionLogs", "lost"),
    Step("executionLogs", "never"),
    Step("enqueue", "wordStats", path={"name": SILENT}, keep="queued"),
    Step("executionLogs", "thumbnails", path={"id": "<queued>"}, message_varies=True),
    Step("readOutput", "queued", path={"id": "<queued>"}, message_varies=True),
    Step("cancelExecution", "queued", path={"id": "<queued>"}),
    Step("cancelExecution", "ended", path={"id": "<ended>"}),
    Step("cancelExecution", "lost"),
    Step("cancelExecution", "never"),
    Step("enqueue", "wordStats", path={"name": "job"}, job=True),
    Step("jobInput", "noToken", path={"id": "<job>"}),
    Step("jobInput", "job", path={"id": "<job>"}, token=True),
    Step("completeJob", "noToken", path={"id": "<job>"}),
    Step("completeJob", "success", path={"id": "<job>"}, token=True, status=204),
    Step("completeJob", "again", path={"id": "<job>"}, token=True),
    Step("jobInput", "again", path={"id": "<job>"}, token=True),
    Step("jobInput", "lost", token=True),
    Step("jobInput", "never", token=True),
    Step("completeJob", "lost", body={"success": True}, token=True),
    Step("completeJob", "never", body={"success": True}, token=True),
    Step("announceInstance", "noToken"),
    Step("announceInstance", "unknownToken", token=True),
    Step(
        "announceInstance",
        "faults",
        body={"instance": "fn-word-stats-rust-5d9c7b8f6d-x2x7k", "address": "word-stats:8080"},
        token=True,
    ),
    Step("deleteFunction", "unknown"),
    Step("deleteFunction", path={"name": "thumbnails"}, status=204),
]


class Fault(Exception):
    """Document and server do not agree."""


class Document:
    def __init__(self, text):
        self.text = text
        self.root = yaml.safe_load(text)
        resource = Resource(contents=self.root, specification=DRAFT202012)
        self.registry = Registry().with_resource("urn:openapi", resource)
        self.operations = {}
        for path, item in self.root["paths"].items():
            for method, operation in item.items():
                if method in ("get", "put", "post", "delete", "patch", "head"):
                    shared = [self.resolve(one) for one in item.get("parameters", [])]
                    own = [self.resolve(one) for one in operation.get("parameters", [])]
                    self.operations[operation["operationId"]] = (method, path, operation, shared + own)

    def resolve(self, value):
        while isinstance(value, dict) and "$ref" in value:
            at = self.root
            for key in value["$ref"].removeprefix("#/").split("/"):
                at = at[key.replace("~1", "/").replace("~0", "~")]
            value = at
        return value

    def examples(self, holder):
        return {name: self.resolve(one).get("value") for name, one in holder.get("examples", {}).items()}

    def bodies(self, operation):
        body = self.resolve(operation.get("requestBody", {}))
        return self.examples(body.get("content", {}).get("application/json", {}))

    def answers(self, operation):
        """Status and value of every answer that is shown, by its name."""
        shown = {}
        for status, response in operation["responses"].items():
            for media in self.resolve(response).get("content", {}).values():
                for name, value in self.examples(media).items():
                    if name in shown:
                        raise Fault(f"{operation['operationId']}: {name} is shown for two answers")
                    shown[name] = (int(status), value)
        return shown

    def response(self, operation, status):
        responses = operation["responses"]
        found = responses.get(str(status)) or responses.get(f"{status // 100}XX")
        if found is None:
            raise Fault(f"the document has no answer {status}")
        return self.resolve(found)

    def check(self, what, schema, value):
        # A schema is found by its place, so that its references are those of the document.
        validator = Draft202012Validator(
            self.absolute(schema), registry=self.registry, format_checker=FormatChecker()
        )
        for error in validator.iter_errors(value):
            raise Fault(f"{what}: at {error.json_path}: {error.message}")

    def absolute(self, schema):
        if isinstance(schema, dict):
            return {
                key: "urn:openapi" + value if key == "$ref" else self.absolute(value)
                for key, value in schema.items()
            }
        return [self.absolute(one) for one in schema] if isinstance(schema, list) else schema


class Run:
    def __init__(self, document, base, listeners, handover):
        self.document, self.base, self.listeners = document, base, listeners
        self.handover = handover
        self.kept = {}

    def url(self, operation):
        """The listener under test, or the only one that serves the operation."""
        servers = operation.get("servers")
        return self.listeners[urllib.parse.urlsplit(servers[0]["url"]).port] if servers else self.base

    def await_job(self):
        patience = time.monotonic() + 10
        while not os.path.exists(self.handover):
            if time.monotonic() > patience:
                raise Fault("the process of the job did not start")
            time.sleep(0.01)
        with open(self.handover, encoding="utf-8") as file:
            self.kept["job"], self.kept["token"] = file.read().split()
        os.remove(self.handover)

    def request(self, url, method, target, headers, body):
        host = urllib.parse.urlsplit(url).netloc
        connection = http.client.HTTPConnection(host, timeout=60)
        try:
            connection.request(method.upper(), target, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def step(self, step):
        document = self.document
        method, path, operation, parameters = document.operations[step.operation]
        shown = document.answers(operation)
        status, value = (step.status, None) if step.status else shown[step.example]
        headers, query = {}, dict(step.query)
        if step.token:
            headers["Authorization"] = f"Bearer {self.kept['token']}"
        for parameter in parameters:
            name, given = parameter["name"], document.examples(parameter)
            if parameter["in"] == "path":
                default = next(iter(given.values()), None)
                chosen = step.path.get(name, given.get(step.example, default))
                chosen = self.kept.get(chosen.strip("<>"), chosen)
                path = path.replace("{" + name + "}", urllib.parse.quote(str(chosen)))
            elif step.example in given and step.body is None:
                (headers if parameter["in"] == "header" else query)[name] = str(given[step.example])
        body = document.bodies(operation).get(step.example) if step.body is None else step.body
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        came = self.request(self.url(operation), method, target, headers, body)
        if came[0] != status:
            raise Fault(f"{came[0]} came and not {status}: {came[2][:500]!r}")
        self.check(step, operation, came, value)
        if step.job:
            self.await_job()

    def check(self, step, operation, came, shown):
        status, headers, body = came
        response = self.document.response(operation, status)
        described = {name.lower(): self.document.resolve(one) for name, one in response.get("headers", {}).items()}
        came_headers = {name.lower(): value for name, value in headers}
        for name, header in described.items():
            if name in came_headers:
                schema = self.document.resolve(header["schema"])
                whole = schema.get("type") == "integer"
                value = int(came_headers[name]) if whole else came_headers[name]
                self.document.check(f"header {name}", header["schema"], value)
            elif header.get("required"):
                raise Fault(f"the header {name} is missing")
        for name in came_headers:
            if name.startswith(OURS) and name not in described:
                raise Fault(f"the header {name} is not described")
        if "content" not in response:
            if body:
                raise Fault(f"a body came: {body[:200]!r}")
            return
        kind = came_headers.get("content-type", "").split(";")[0]
        media = response["content"].get(kind)
        if media is None:
            raise Fault(f"the content type {kind!r} is not described")
        if kind == "application/yaml":
            if body.decode() != self.document.text:
                raise Fault("it is not the document")
            self.document.check("the body", media["schema"], self.document.root)
            return
        if kind != "application/json":
            text = body.decode()
            self.document.check("the body", media["schema"], text)
            lines = [] if step.shown_varies else (shown or "").splitlines()
            missing = [line for line in lines if line not in text.splitlines()]
            if missing:
                raise Fault(f"lines that the document shows are not there: {missing}")
            return
        value = json.loads(body)
        self.document.check("the body", media["schema"], value)
        if shown is not None:
            self.compare(step, shown, value)
        if step.keep:
            self.kept[step.keep] = value["executionId"]

    def compare(self, step, shown, value):
        """Fails where another answer comes than is written, but for ids, times and the machine."""
        if value.keys() != shown.keys():
            raise Fault(f"the members are {sorted(value)} and not {sorted(shown)}")
        for key in ("status", "output", "function"):
            if key in shown and not isinstance(shown[key], dict | list) and value[key] != shown[key]:
                raise Fault(f"{key} is {value[key]!r} and not {shown[key]!r}")
        if shown.get("output") != value.get("output"):
            raise Fault(f"the output is {value['output']!r}")
        shown, value = shown.get("error"), value.get("error")
        if shown is None:
            return
        if value["code"] != shown["code"]:
            raise Fault(f"the code is {value['code']}: {value['message']}")
        if not step.message_varies and value != shown:
            raise Fault(f"the error is {json.dumps(value)}")


def uncovered(document):
    """Examples that the document shows and no step does."""
    done = {(step.operation, step.example) for step in STEPS}
    names = {example for _, example in done} | {
        value for step in STEPS for value in step.path.values()
    }
    for identity, (_, _, operation, parameters) in document.operations.items():
        for name in document.answers(operation):
            if (identity, name) not in done:
                yield f"{identity}: the answer {name} is had by no step"
        if not any(operation == identity for operation, _ in done):
            yield f"{identity} is called by no step"
        requests = set(document.bodies(operation))
        for parameter in parameters:
            requests |= set(document.examples(parameter))
        for name in requests - names:
            yield f"{identity}: the request {name} is made by no step"


def main(path, client, management, runtime, handover):
    with open(path, encoding="utf-8") as file:
        document = Document(file.read())
    faults = list(uncovered(document))
    # Accepts and never answers, so that what is enqueued for it is there to be cancelled.
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    silent = {"name": SILENT, "executionMode": "POOL", "endpointUrl": f"http://127.0.0.1:{port}"}
    # By the ports that the document gives them.
    listeners = {8080: client, 8081: management, 8082: runtime}
    for base in (client, management):
        run = Run(document, base, listeners, handover)
        status, _, body = run.request(base, "PUT", f"/v1/functions/{SILENT}", {}, json.dumps(silent))
        if status not in (200, 201):
            faults.append(f"PUT {SILENT}: {status} {body!r}")
        for step in STEPS:
            try:
                run.step(step)
            except Fault as fault:
                faults.append(f"{base} {step.operation} {step.example or ''}: {fault}")
        run.request(base, "DELETE", f"/v1/functions/{SILENT}", {}, None)
    for fault in faults:
        print(fault)
    print(f"{2 * len(STEPS)} requests, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
