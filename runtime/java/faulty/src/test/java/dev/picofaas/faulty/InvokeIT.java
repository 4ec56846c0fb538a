// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Answers to good and to bad invocations. */
class InvokeIT {
    @Test
    void theInputComesBackByteForByteOnASocketAndOnAPort() throws Exception {
        for (Instance started : List.of(Instance.of("echo"), Instance.onPort("echo"))) {
            try (Instance instance = started; Wire wire = instance.connect()) {
                for (String input : List.of("null", "1e400", "12345678901234567890123",
                        "{ \"a\" : [ 1 ,2 ], \"a\":\"é\\u00e9\" }", "\"𝄞\"",
                        "7".repeat(2000), "{\"" + "n".repeat(60_000) + "\":-0.0" + "1".repeat(2000) + "}")) {
                    Wire.Message answer = wire.invoke("", "{\"metadata\":{\"k\":\"v\"},\"input\": " + input + " }");
                    assertEquals(200, answer.status());
                    assertEquals(input, answer.body());
                    assertEquals("application/json", answer.headers().get("content-type"));
                }
            }
        }
    }

    @Test
    void aHandlerMayAskForTheCircumstancesOfItsInvocation() throws Exception {
        try (Instance instance = Instance.of("context"); Wire wire = instance.connect()) {
            String parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            Wire.Message answer = wire.invoke("x-trace-id: t-1\r\ntraceparent: " + parent
                + "\r\ntracestate: a=1\r\ntracestate: b=2\r\nx-attempt: 3\r\nx-deadline-ms: 60000\r\n"
                + "idempotency-key: k-1\r\n", "{\"input\":[7],\"metadata\":{\"a\":\"b\"}}");
            long leftMs = answer.json().get("leftMs").asLong();
            assertTrue(leftMs > 0 && leftMs <= 60_000, answer.body());
            assertEquals("{\"input\":[7],\"executionId\":\"e-1\",\"traceId\":\"t-1\",\"traceparent\":"
                + "\"" + parent + "\",\"tracestate\":\"a=1,b=2\","
                + "\"attempt\":3,\"leftMs\":" + leftMs + ",\"idempotencyKey\":\"k-1\",\"metadata\":{\"a\":\"b\"}}",
                answer.body());
            assertEquals("{\"input\":1,\"executionId\":\"e-1\",\"traceId\":null,\"traceparent\":null,"
                + "\"tracestate\":null,\"attempt\":1,\"leftMs\":null,\"idempotencyKey\":null,\"metadata\":{}}",
                wire.invoke("", "{\"input\":1,\"metadata\":null}").body());
        }
    }

    @Test
    void withoutAnExecutionIdNothingIsRun() throws Exception {
        try (Instance instance = Instance.of("exit"); Wire wire = instance.connect()) {
            for (String header : List.of("", "x-execution-id:\r\n")) {
                wire.send("POST /invoke HTTP/1.1\r\nhost: fn\r\n" + header + "content-length: 12\r\n\r\n{\"input\": 1}");
                assertEquals("400 MISSING_EXECUTION_ID", wire.receive().failure());
            }
        }
    }

    @Test
    void aHeaderThatIsNotANumberIsNamed() throws Exception {
        try (Instance instance = Instance.of("exit"); Wire wire = instance.connect()) {
            for (String header : List.of("X-Deadline-Ms: soon", "X-Deadline-Ms: -1", "X-Attempt: 0", "X-Attempt: x")) {
                Wire.Message answer = wire.invoke(header + "\r\n", "{\"input\":1}");
                assertEquals("400 BAD_HEADER", answer.failure());
                assertTrue(answer.message().contains(header.split(":")[0]), answer.message());
            }
        }
    }

    @Test
    void badInputIsToldItsPlaceAndReason() throws Exception {
        try (Instance instance = Instance.of("status"); Wire wire = instance.connect()) {
            String[][] cases = {
                {"{\"input\":{\"status\":\"x\",\"code\":\"c\",\"message\":\"m\"}}", "input.status: "},
                {"{\"input\":{\"status\":400}}", "code"},
                {"{\"input\":{\"status\":400,\"code\":\"c\",\"mesage\":\"m\"}}", "input.mesage: unknown field `mesage`"},
                {"{\"input\":null}", "input: it is null"},
                {"{\"metadata\":{\"a\":\"b\"}}", "missing field `input`"},
                {"{\"input\":{\"status\":400,\"code\":\"c\"},\"metadata\":{\"a\":1}}", "metadata.a: invalid type"},
                {"{\"input\":{\"status\":400,\"code\":\"c\"}} x", "the body must be"},
                {"{\"input\":{\"status\":400,\"code\":\"c\"}} 1", "trailing characters"},
                {"{\"input\":{\"status\":400", "the body must be"},
                {"", "EOF while parsing"},
                {"[1, {}]", "the body must be"},
            };
            for (String[] bad : cases) {
                Wire.Message answer = wire.invoke("", bad[0]);
                assertEquals("400 BAD_INPUT", answer.failure(), bad[0]);
                assertTrue(answer.message().contains(bad[1]), bad[0] + " got: " + answer.message());
            }
            Wire.Message quoting = wire.invoke("",
                "{\"input\":{\"status\":\"" + "x".repeat(1_000_000) + "\",\"code\":\"c\"}}");
            assertEquals("400 BAD_INPUT", quoting.failure());
            assertTrue(quoting.body().length() < 4096, quoting.body().length() + " bytes");
        }
    }

    @Test
    void aBodyIsRefusedFromItsFirstByteTooMany() throws Exception {
        try (Instance instance = Instance.of("echo", "MAX_BODY", "20")) {
            try (Wire wire = instance.connect()) {
                assertEquals("\"12345678\"", wire.invoke("", "{\"input\":\"12345678\"}").body());
                // By its announced length, before it is sent.
                wire.send("POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e\r\ncontent-length: 21\r\n\r\n");
                assertEquals("413 BODY_TOO_LARGE", wire.receive().failure());
                assertTrue(wire.isClosed());
            }
            // In chunks, where nothing is announced.
            try (Wire wire = instance.connect()) {
                wire.send("POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e\r\ntransfer-encoding: chunked\r\n\r\n"
                    + "b\r\n{\"input\":\"1\r\na\r\n23456789\"}\r\n0\r\n\r\n");
                assertEquals("413 BODY_TOO_LARGE", wire.receive().failure());
            }
        }
    }

    @Test
    void aBodyInManyPiecesIsPutTogether() throws Exception {
        try (Instance instance = Instance.of("echo"); Wire wire = instance.connect()) {
            wire.send("POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e\r\ntransfer-encoding: chunked\r\n\r\n");
            for (String piece : List.of("{\"in", "put\":", "[1,2", ",3]}")) {
                wire.send(Integer.toHexString(piece.length()) + "\r\n" + piece + "\r\n");
            }
            wire.send("0\r\n\r\n");
            assertEquals("[1,2,3]", wire.receive().body());
        }
    }

    @Test
    void pipelinedRequestsAreAnsweredInOrder() throws Exception {
        try (Instance instance = Instance.of("echo"); Wire wire = instance.connect()) {
            StringBuilder all = new StringBuilder();
            for (int n = 0; n < 50; n++) {
                all.append(Wire.invocation("", "{\"input\":" + n + "}"));
                all.append("GET /health HTTP/1.1\r\nhost: fn\r\n\r\n");
            }
            wire.send(all.toString());
            for (int n = 0; n < 50; n++) {
                assertEquals(Integer.toString(n), wire.receive().body());
                assertEquals("{\"status\":\"ok\"}", wire.receive().body());
            }
        }
    }

    @Test
    void anOutputOverTheLimitIsAnErrorAndNotCut() throws Exception {
        try (Instance instance = Instance.of("echo", "MAX_OUTPUT", "8"); Wire wire = instance.connect()) {
            assertEquals("\"123456\"", wire.invoke("", "{\"input\":\"123456\"}").body());
            assertEquals("500 OUTPUT_TOO_LARGE", wire.invoke("", "{\"input\":\"1234567\"}").failure());
        }
    }

    @Test
    void theDefaultLimitsHoldAMebibyte() throws Exception {
        try (Instance instance = Instance.of("echo"); Wire wire = instance.connect()) {
            String fits = "x".repeat((1 << 20) - 2);
            assertEquals('"' + fits + '"', wire.invoke("", "{\"input\":\"" + fits + "\"}").body());
            assertEquals("500 OUTPUT_TOO_LARGE", wire.invoke("", "{\"input\":\"" + fits + "y\"}").failure());
        }
    }

    @Test
    void manyAtOnceKeepEachTheirOwn(@TempDir Path folder) throws Exception {
        Path gate = folder.resolve("gate");
        try (Instance instance = Instance.of("gate")) {
            List<Wire> wires = new ArrayList<>();
            for (int n = 0; n < 64; n++) {
                Wire wire = instance.connect();
                wires.add(wire);
                wire.send(Wire.invocation("", "{\"input\":" + waiting(gate, n) + "}"));
            }
            // None of them ends before the gate is there, however long the last one's beginning takes.
            instance.awaitMetric("picofaas_runtime_in_flight 64");
            Files.createFile(gate);
            for (int n = 0; n < 64; n++) {
                try (Wire wire = wires.get(n)) {
                    assertEquals(waiting(gate, n), wire.receive().body());
                }
            }
        }
    }

    private static String waiting(Path gate, int n) {
        return "{\"file\":\"" + gate + "\",\"n\":" + n + "}";
    }
}
