// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;

/** An instance, as it is seen from outside. */
class ObserveIT {
    @Test
    void onlyTheFirstAnswerOfAProcessIsAColdStartAlsoWhereItIsAFailure() throws Exception {
        try (Instance instance = Instance.of("panic"); Wire wire = instance.connect()) {
            assertNull(wire.get("/health").headers().get("x-cold-start"));
            Wire.Message first = wire.invoke("", "{\"input\":1}");
            assertEquals("true", first.headers().get("x-cold-start"));
            long initMs = Long.parseLong(first.headers().get("x-init-duration-ms"));
            assertTrue(initMs >= 1 && initMs < 60_000, initMs + " ms");
            Wire.Message second = wire.invoke("", "{\"input\":1}");
            assertNull(second.headers().get("x-cold-start"));
            assertNull(second.headers().get("x-init-duration-ms"));
        }
    }

    @Test
    void metricsCountInvocationsByHowTheyEnded() throws Exception {
        try (Instance instance = Instance.of("sleep"); Wire wire = instance.connect()) {
            wire.invoke("", "{\"input\":{\"ms\":0}}");
            wire.invoke("", "{\"input\":{\"ms\":0}}");
            wire.invoke("", "{\"input\":\"no\"}");
            wire.invoke("x-deadline-ms: 20\r\n", "{\"input\":{\"ms\":3600000}}");
            Wire.Message answer = wire.get("/metrics");
            assertEquals("text/plain; version=0.0.4; charset=utf-8", answer.headers().get("content-type"));
            List<String> lines = answer.body().lines().toList();
            for (String line : List.of("picofaas_runtime_invocations_total{outcome=\"success\"} 2",
                    "picofaas_runtime_invocations_total{outcome=\"rejected\"} 1",
                    "picofaas_runtime_invocations_total{outcome=\"timeout\"} 1",
                    "picofaas_runtime_invocations_total{outcome=\"error\"} 0", "picofaas_runtime_in_flight 0",
                    "picofaas_runtime_invocation_seconds_count 4",
                    "picofaas_runtime_invocation_seconds_bucket{le=\"+Inf\"} 4")) {
                assertTrue(lines.contains(line), "no `" + line + "` in\n" + answer.body());
            }
        }
    }

    @Test
    void otherPathsAndMethodsAreToldTheRightOnes() throws Exception {
        try (Instance instance = Instance.of("echo"); Wire wire = instance.connect()) {
            assertEquals("{\"status\":\"ok\"}", wire.get("/health").body());
            Wire.Message lost = wire.get("/invoked");
            assertEquals("404 NOT_FOUND", lost.failure());
            assertTrue(lost.message().contains("POST /invoke"));
            Wire.Message wrong = wire.get("/invoke");
            assertEquals("405 METHOD_NOT_ALLOWED", wrong.failure());
            assertEquals("POST", wrong.headers().get("allow"));
        }
    }

    @Test
    void eachLineThatAHandlerLogsCarriesItsIds() throws Exception {
        try (Instance instance = Instance.of("log"); Wire wire = instance.connect()) {
            String longer = "é".repeat(5000);
            assertEquals("null",
                wire.invoke("x-trace-id: t-3\r\n", "{\"input\":\"first\\n\\n" + longer + "\\n\"}").body());
            for (String said : List.of("first", "", "é".repeat(4096), "é".repeat(904))) {
                assertEquals("info executionId=e-1 traceId=t-3 " + said, instance.lineWith(""));
            }
            wire.invoke("", "{\"input\":\"\"}");
            assertEquals("info executionId=e-1 traceId=- ", instance.lineWith(""));
        }
    }
}
