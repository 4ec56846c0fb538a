// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Web requests as the Java runtime alone has them; what all runtimes do is in the suite of the contract. */
class WebIT {
    private static final String OUTCOME = "picofaas_runtime_invocations_total{outcome=\"";

    @TempDir
    Path folder;

    private static void ask(Wire wire, String path, String headers) throws Exception {
        wire.send("GET /web" + path + " HTTP/1.1\r\nHost: fn\r\nX-Execution-Id: e-1\r\n" + headers + "\r\n");
    }

    @Test
    void aFunctionThatAnswersWebRequestsTakesNoJson() throws Exception {
        try (Instance instance = Instance.of("web"); Wire wire = instance.connect()) {
            for (int n = 0; n < 2; n++) {
                Wire.Message refused = wire.invoke("", "{\"input\":1}");
                assertEquals("501 NOT_A_JSON_FUNCTION", refused.failure());
                assertEquals("false", refused.json().at("/error/retryable").asText());
            }
            instance.awaitMetric(OUTCOME + "rejected\"} 2");
        }
    }

    @Test
    void aHandlerThatFailsBeforeTheHeadIsAnsweredFor() throws Exception {
        try (Instance instance = Instance.of("web"); Wire wire = instance.connect()) {
            ask(wire, "/fail", "X-Trace-Id: t-1\r\n");
            assertEquals("418 TEAPOT", wire.receive().failure());
            String line = instance.lineWith("TEAPOT");
            assertTrue(line.startsWith("error executionId=e-1 traceId=t-1 code=TEAPOT status=418 "), line);
            ask(wire, "/throw", "");
            Wire.Message thrown = wire.receive();
            assertEquals("500 HANDLER_ERROR", thrown.failure());
            assertEquals("it falls over, as told", thrown.message());
            ask(wire, "/status/600", "");
            assertEquals("500 HANDLER_ERROR", wire.receive().failure());
            ask(wire, "/x", "X-Attempt: none\r\n");
            assertEquals("400 BAD_HEADER", wire.receive().failure());
            ask(wire, "/x", "Connection: Upgrade\r\nUpgrade: websocket\r\n");
            assertEquals("501 NO_UPGRADE", wire.receive().failure());
            instance.awaitMetric(OUTCOME + "error\"} 3");
            instance.awaitMetric(OUTCOME + "rejected\"} 2");
        }
    }

    @Test
    void aBodyIsAsLongAsItsContentLengthOrNobodyTakesItForWhole() throws Exception {
        try (Instance instance = Instance.of("web")) {
            for (String path : new String[] {"/sized?length=4&text=begin", "/sized?length=6&text=begin"}) {
                try (Wire wire = instance.connect()) {
                    ask(wire, path, "");
                    assertEquals("500 HANDLER_ERROR", wire.receive().failure(), path);
                    ask(wire, path + "&flush=1", "");
                    String length = path.substring(path.indexOf('=') + 1, path.indexOf('&'));
                    StringBuilder said = new StringBuilder();
                    for (String line = wire.readLine(); !line.isEmpty(); line = wire.readLine()) {
                        said.append(line.toLowerCase(java.util.Locale.ROOT)).append('\n');
                    }
                    assertTrue(said.toString().contains("content-length: " + length), said.toString());
                    int sent = length.equals("4") ? 0 : 5;
                    assertEquals("begin".substring(0, sent),
                        new String(wire.receive(sent), StandardCharsets.UTF_8));
                    assertTrue(wire.isClosed());
                }
            }
            instance.awaitMetric(OUTCOME + "error\"} 4");
        }
    }

    @Test
    void theDeadlineIsThatOfTheHeadAndNotOfTheBody() throws Exception {
        try (Instance instance = Instance.of("web"); Wire wire = instance.connect(); Wire later = instance.connect()) {
            Path gone = folder.resolve("gone");
            ask(wire, "/never?gone=" + gone, "X-Deadline-Ms: 20\r\n");
            assertEquals("504 HANDLER_TIMEOUT", wire.receive().failure());
            awaitFile(gone);
            Path go = folder.resolve("go");
            ask(wire, "/pieces?go=" + go, "X-Deadline-Ms: 5000\r\n");
            while (!wire.readLine().isEmpty()) {
                continue;
            }
            assertEquals("5", wire.readLine());
            assertEquals("first", wire.readLine());
            // One with a later deadline ends at it: that of the first is over then.
            ask(later, "/never", "X-Deadline-Ms: 5100\r\n");
            assertEquals(504, later.receive().status());
            Files.createFile(go);
            assertEquals("6", wire.readLine());
            assertEquals("second", wire.readLine());
            assertEquals("0", wire.readLine());
        }
    }

    @Test
    void aHandlerThatDoesNotReadItsBodyIsStoppedWhenItsCallerGoes() throws Exception {
        try (Instance instance = Instance.of("web")) {
            Path gone = folder.resolve("gone");
            Wire wire = instance.connect();
            ask(wire, "/never?gone=" + gone, "Transfer-Encoding: chunked\r\n");
            wire.send("3\r\nabc\r\n");
            instance.awaitMetric("picofaas_runtime_in_flight 1");
            wire.close();
            instance.awaitMetric(OUTCOME + "cancelled\"} 1");
            awaitFile(gone);
        }
    }

    private static void awaitFile(Path file) {
        while (!Files.exists(file)) {
            Thread.onSpinWait();
        }
    }
}
