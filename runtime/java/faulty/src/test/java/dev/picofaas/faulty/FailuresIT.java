// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

/** Handlers that fail or take too long, callers that do not wait, and how the rest lives on. */
class FailuresIT {
    @Test
    void anExceptionIsAnsweredLoggedWithItsStackAndSurvived() throws Exception {
        try (Instance instance = Instance.of("panic"); Wire wire = instance.connect()) {
            for (int n = 0; n < 2; n++) {
                Wire.Message answer = wire.invoke("x-trace-id: t-1\r\n", "{\"input\":\"ouch\"}");
                assertEquals("500 HANDLER_ERROR", answer.failure());
                assertEquals("ouch", answer.message());
            }
            assertEquals("error executionId=e-1 traceId=t-1 code=HANDLER_ERROR status=500 message=\"ouch\"",
                instance.lineWith("ouch"));
            String frame = instance.lineWith("Faulty$Panic.handle");
            assertTrue(frame.startsWith("error executionId=e-1 traceId=t-1 "), frame);
        }
    }

    @Test
    void aHandlerThatRecursesWithoutEndHurtsNobodyElse() throws Exception {
        try (Instance instance = Instance.of("overflow"); Wire wire = instance.connect()) {
            for (int n = 0; n < 2; n++) {
                assertEquals("500 HANDLER_ERROR", wire.invoke("", "{\"input\":1}").failure());
            }
        }
    }

    @Test
    void aHandlerChoosesItsStatusCodeAndMessage() throws Exception {
        try (Instance instance = Instance.of("status"); Wire wire = instance.connect()) {
            for (int status : new int[] {400, 404, 422, 500, 503, 599}) {
                Wire.Message answer = wire.invoke("", "{\"input\":{\"status\":" + status
                    + ",\"code\":\"MINE\",\"message\":\"my \\\"own\\\"\"}}");
                assertEquals(status + " MINE", answer.failure());
                assertEquals("my \"own\"", answer.message());
            }
            String line = instance.lineWith("code=MINE");
            assertTrue(line.endsWith(" status=400 message=\"my \\\"own\\\"\""), line);
            Wire.Message impossible = wire.invoke("", "{\"input\":{\"status\":200,\"code\":\"MINE\"}}");
            assertEquals("500 HANDLER_ERROR", impossible.failure());
            assertTrue(impossible.message().contains("400 … 599"), impossible.message());
        }
    }

    @Test
    void aHandlersChoiceCountsWithinOtherExceptionsToo() throws Exception {
        try (Instance instance = Instance.of("wrapped"); Wire wire = instance.connect()) {
            for (String input : List.of("thrown", "checked", "future")) {
                Wire.Message answer = wire.invoke("", "{\"input\":\"" + input + "\"}");
                assertEquals("422 MINE", answer.failure(), input);
                assertEquals("my own", answer.message());
            }
            Wire.Message once = wire.invoke("", "{\"input\":\"final\"}");
            assertEquals("503 MINE", once.failure());
            assertEquals("false", once.json().at("/error/retryable").asText());
            assertEquals("409 OUTER", wire.invoke("", "{\"input\":\"outer\"}").failure());
            Wire.Message circle = wire.invoke("", "{\"input\":\"circle\"}");
            assertEquals("500 HANDLER_ERROR", circle.failure());
            assertEquals("around", circle.message());
        }
    }

    @Test
    void anOutputThatCannotBeWrittenIsSaidToBe() throws Exception {
        try (Instance instance = Instance.of("endless"); Wire wire = instance.connect()) {
            assertEquals("500 BAD_OUTPUT", wire.invoke("", "{\"input\":1}").failure());
            assertEquals("500 BAD_OUTPUT", wire.invoke("", "{\"input\":1}").failure());
        }
    }

    @Test
    void aProcessThatDiesInARequestClosesWithoutAnAnswer() throws Exception {
        try (Instance instance = Instance.of("exit"); Wire wire = instance.connect()) {
            wire.send(Wire.invocation("", "{\"input\":1}"));
            assertTrue(wire.isClosed());
            assertTrue(instance.end().startsWith("3\n"));
        }
    }

    /** Has a handler run out of time after it has begun; what is said then, up to what the handler says of it. */
    private static List<String> outOfTime(Instance instance, Wire wire, String said) throws Exception {
        for (int deadlineMs = 50;; deadlineMs *= 4) {
            Wire.Message answer = wire.invoke("x-deadline-ms: " + deadlineMs + "\r\nx-trace-id: t-9\r\n",
                "{\"input\":1}");
            assertEquals("504 HANDLER_TIMEOUT", answer.failure());
            List<String> lines = instance.linesUntil("HANDLER_TIMEOUT");
            // On a busy machine the time can be over before the handler begins.
            if (lines.stream().anyMatch(line -> line.endsWith(" waiting"))) {
                // The two say it in either order.
                if (lines.stream().noneMatch(line -> line.endsWith(said))) {
                    lines.addAll(instance.linesUntil(said));
                }
                return lines;
            }
        }
    }

    @Test
    void theHandlerIsInterruptedAtItsDeadlineAndTheProcessServesOn() throws Exception {
        try (Instance instance = Instance.of("never"); Wire wire = instance.connect()) {
            for (int n = 0; n < 2; n++) {
                for (String line : outOfTime(instance, wire, "interrupted")) {
                    assertTrue(line.contains("executionId=e-1 traceId=t-9"), line);
                }
            }
        }
    }

    @Test
    void aHandlerThatIgnoresItsInterruptionIsAnsweredForAndDoesNotHoldUpTheEnd() throws Exception {
        try (Instance instance = Instance.of("stubborn"); Wire wire = instance.connect()) {
            outOfTime(instance, wire, "ignored");
            assertEquals(200, wire.get("/health").status());
            instance.signal("TERM");
            assertTrue(instance.end().startsWith("0\n"));
        }
    }

    @Test
    void aDeadlineThatHasPassedRunsNothingAndCountsWhileTheBodyIsOnItsWay() throws Exception {
        try (Instance instance = Instance.of("exit")) {
            try (Wire wire = instance.connect()) {
                assertEquals("504 HANDLER_TIMEOUT", wire.invoke("x-deadline-ms: 0\r\n", "{\"input\":1}").failure());
                wire.send("POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e\r\nx-deadline-ms: 20\r\n"
                    + "content-length: 11\r\n\r\n{\"in");
                assertEquals("504 HANDLER_TIMEOUT", wire.receive().failure());
                assertTrue(wire.isClosed());
            }
        }
    }

    @Test
    void aCallerThatHangsUpStopsItsHandler() throws Exception {
        try (Instance instance = Instance.of("never")) {
            Wire gone = instance.connect();
            gone.send(Wire.invocation("", "{\"input\":1}"));
            instance.lineWith("waiting");
            gone.close();
            assertTrue(instance.lineWith("interrupted").contains("executionId=e-1"));
            instance.awaitMetric("picofaas_runtime_in_flight 0");
            instance.awaitMetric("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1");
        }
    }

    @Test
    void aPeerThatDoesNotSpeakHttpIsToldSoAndNamedInTheLog() throws Exception {
        try (Instance instance = Instance.of("echo"); Wire wire = instance.connect()) {
            for (String garbage : List.of("\u0016\u0003 nonsense\r\n\r\n",
                    "GET / HTTP/1.1\r\nhost: fn\r\nx: " + "x".repeat(40_000) + "\r\n\r\n")) {
                try (Wire broken = instance.connect()) {
                    broken.send(garbage);
                    assertEquals("400 BAD_REQUEST", broken.receive().failure());
                    assertTrue(broken.isClosed());
                }
                instance.lineWith("warning a connection was closed");
            }
            assertEquals(200, wire.get("/health").status());
        }
    }

    @Test
    void anInvocationWhoseBodyIsNoHttpIsRefusedLoggedAndCounted() throws Exception {
        try (Instance instance = Instance.of("echo"); Wire wire = instance.connect()) {
            wire.send("POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e-1\r\ntransfer-encoding: chunked\r\n\r\n"
                + "no number\r\n");
            assertEquals("400 BAD_REQUEST", wire.receive().failure());
            assertTrue(wire.isClosed());
            instance.lineWith("error executionId=e-1 traceId=- code=BAD_REQUEST status=400");
            instance.awaitMetric("picofaas_runtime_invocations_total{outcome=\"rejected\"} 1");
            instance.awaitMetric("picofaas_runtime_in_flight 0");
        }
    }
}
