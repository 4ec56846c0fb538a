// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static dev.picofaas.runtime.frames.Handmade.concat;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.picofaas.runtime.frames.Handmade;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Frames over a socket: many attempts on one connection, and HTTP beside them. */
class FramesIT {
    private static String gate(Path file) {
        return "{\"file\":\"" + file + "\",\"n\":1}";
    }

    private static String input(String json) {
        return "{\"input\":" + json + "}";
    }

    /** A request whose {@code traceparent} has a field of its own. */
    private static byte[] withParent(int sequence, String parent) {
        byte[] field = Handmade.field(5, parent);
        return Handmade.invocation(sequence, Handmade.END, 1, 60_000, 11, field.length, concat(field, bytes(input("1"))));
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    @Test
    void attemptsAtOnceAreAnsweredInAnyOrderAndHttpIsServedBesideThem(@TempDir Path folder) throws Exception {
        for (Instance started : List.of(Instance.of("gate"), Instance.onPort("gate"))) {
            Path first = folder.resolve("first");
            Path second = folder.resolve("second");
            Path third = folder.resolve("third");
            try (Instance instance = started; FrameWire frames = FrameWire.to(instance)) {
                frames.invoke(1, input(gate(first)));
                frames.invoke(2, input(gate(second)));
                frames.invoke(3, input(gate(third)));
                Files.createFile(third);
                FrameWire.Answer answer = frames.answer();
                assertEquals(List.of(3, 200, gate(third)), List.of(answer.sequence(), answer.status(), answer.body()));
                assertNotNull(answer.startMs(), "the first of a fresh process");
                try (Wire http = instance.connect()) {
                    assertEquals(200, http.get("/health").status());
                    Wire.Message beside = http.invoke("", input(gate(third)));
                    assertEquals(gate(third), beside.body());
                    assertNull(beside.headers().get("x-cold-start"));
                }
                Files.createFile(second);
                assertEquals(new FrameWire.Answer(2, 200, null, 0, gate(second)), frames.answer());
                Files.createFile(first);
                assertEquals(new FrameWire.Answer(1, 200, null, 0, gate(first)), frames.answer());
                instance.awaitMetric("picofaas_runtime_invocations_total{outcome=\"success\"} 4");
                instance.awaitMetric("picofaas_runtime_in_flight 0");
            }
            for (Path file : List.of(first, second, third)) {
                Files.delete(file);
            }
        }
    }

    @Test
    void aHandlerSeesAllThatTheHeadOfARequestSays() throws Exception {
        try (Instance instance = Instance.of("context"); FrameWire frames = FrameWire.to(instance)) {
            String parent = "00-" + Handmade.TRACE_ID + "-" + Handmade.SPAN_ID + "-01";
            ByteArrayOutputStream fields = new ByteArrayOutputStream();
            for (byte[] field : List.of(Handmade.field(1, "a=1,b=2"), Handmade.field(77, "skipped"),
                    Handmade.field(2, "k-1"), Handmade.field(4, "t-1"))) {
                fields.writeBytes(field);
            }
            byte[] body = bytes("{\"input\":[7],\"metadata\":{\"a\":\"b\"}}");
            frames.send(Handmade.invocation(1, Handmade.END, 3, 60_000, body.length, fields.size(),
                concat(fields.toByteArray(), body)));
            String said = frames.answer().body();
            assertEquals("{\"input\":[7],\"executionId\":\"" + Handmade.executionId(1) + "\",\"traceId\":\"t-1\","
                + "\"traceparent\":\"" + parent + "\",\"tracestate\":\"a=1,b=2\",\"attempt\":3,\"leftMs\":_,"
                + "\"idempotencyKey\":\"k-1\",\"metadata\":{\"a\":\"b\"}}",
                said.replaceFirst("\"leftMs\":[0-9]+", "\"leftMs\":_"));
            frames.invoke(2, input("1"));
            assertEquals("{\"input\":1,\"executionId\":\"" + Handmade.executionId(2) + "\",\"traceId\":\""
                + Handmade.TRACE_ID + "\",\"traceparent\":\"" + parent + "\",\"tracestate\":null,\"attempt\":1,"
                + "\"leftMs\":_,\"idempotencyKey\":null,\"metadata\":{}}",
                frames.answer().body().replaceFirst("\"leftMs\":[0-9]+", "\"leftMs\":_"));
            // Of a later version, and one that is not valid.
            String later = "cc-" + Handmade.TRACE_ID + "-" + "0e".repeat(8) + "-01-more";
            frames.send(withParent(3, later));
            assertTrue(frames.answer().body().contains("\"traceparent\":\"" + later + "\""));
            frames.send(withParent(4, "x"));
            assertTrue(frames.answer().body().contains("\"traceparent\":null"));
        }
    }

    @Test
    void whatFailsIsAnsweredAndLoggedAsOverHttp() throws Exception {
        try (Instance instance = Instance.of("panic"); FrameWire frames = FrameWire.to(instance)) {
            frames.invoke(1, input("\"ouch\""));
            assertEquals("500 HANDLER_ERROR", frames.answer().failure());
            String ids = "error executionId=" + Handmade.executionId(1) + " traceId=" + Handmade.TRACE_ID;
            assertEquals(ids + " code=HANDLER_ERROR status=500 message=\"ouch\"", instance.lineWith("ouch"));
            assertTrue(instance.lineWith("Faulty$Panic.handle").startsWith(ids + " "));
        }
        try (Instance instance = Instance.of("status", "MAX_BODY", "100"); FrameWire frames = FrameWire.to(instance);
                Wire http = instance.connect()) {
            int sequence = 0;
            for (String body : List.of(input("{\"status\":422,\"code\":\"MINE\",\"message\":\"m\"}"),
                    input("{\"status\":503,\"code\":\"MINE\",\"retryable\":false}"), input("{\"status\":400}"),
                    "[1]", "", input("\"" + "x".repeat(100) + "\""))) {
                frames.invoke(++sequence, body);
                FrameWire.Answer answer = frames.answer();
                try (Wire other = instance.connect()) {
                    Wire.Message same = other.invoke("", body);
                    assertEquals(same.status() + " " + same.body(), answer.status() + " " + answer.body());
                }
            }
            frames.send(Handmade.invocation(++sequence, Handmade.END, 0, 1000, 11, 0, bytes(input("1"))));
            assertEquals("400 BAD_HEADER", frames.answer().failure());
            frames.send(Handmade.invocation(++sequence, Handmade.END, 1, 0, 11, 0, bytes(input("1"))));
            assertEquals("504 HANDLER_TIMEOUT", frames.answer().failure());
            // By its announced length, before it is sent; what is on its way is dropped.
            frames.send(Handmade.invocation(++sequence, 0, 1, 1000, 101, 0));
            assertEquals("413 BODY_TOO_LARGE", frames.answer().failure());
            frames.send(Handmade.frame(Handmade.DATA, sequence, Handmade.END, new byte[101]));
            frames.send(Handmade.invocation(++sequence, 0, 1, 1000, -1, 0));
            assertEquals("413 BODY_TOO_LARGE", frames.answer().failure());
            assertEquals(200, http.get("/health").status());
        }
        try (Instance instance = Instance.of("echo", "MAX_OUTPUT", "8"); FrameWire frames = FrameWire.to(instance)) {
            frames.invoke(1, input("\"123456\""));
            assertEquals("\"123456\"", frames.answer().body());
            frames.invoke(2, input("\"1234567\""));
            assertEquals("500 OUTPUT_TOO_LARGE", frames.answer().failure());
        }
    }

    @Test
    void aHandlerIsStoppedAtItsDeadlineAlsoWhileItsBodyIsOnItsWay() throws Exception {
        try (Instance instance = Instance.of("never"); FrameWire frames = FrameWire.to(instance)) {
            frames.send(Handmade.invocation(1, Handmade.END, 1, 50, 11, 0, bytes(input("1"))));
            assertEquals("504 HANDLER_TIMEOUT", frames.answer().failure());
            frames.send(Handmade.invocation(2, 0, 1, 20, 11, 0));
            assertEquals("504 HANDLER_TIMEOUT", frames.answer().failure());
            frames.send(Handmade.frame(Handmade.DATA, 2, Handmade.END, bytes(input("1"))));
            instance.awaitMetric("picofaas_runtime_invocations_total{outcome=\"timeout\"} 2");
            instance.awaitMetric("picofaas_runtime_in_flight 0");
        }
    }

    @Test
    void aCancellationInterruptsItsHandlerAloneAndIsAcknowledged() throws Exception {
        try (Instance instance = Instance.of("never")) {
            FrameWire frames = FrameWire.to(instance);
            frames.invoke(1, input("1"));
            assertTrue(instance.lineWith("waiting").contains(Handmade.executionId(1)));
            frames.invoke(2, input("2"));
            assertTrue(instance.lineWith("waiting").contains(Handmade.executionId(2)));
            frames.cancel(2);
            FrameWire.Frame done = frames.take();
            assertEquals(List.of(Handmade.DONE, 2, 1, 1),
                List.of(done.kind(), done.sequence(), done.payload().length, (int) done.payload()[0]));
            assertTrue(instance.lineWith("interrupted").contains(Handmade.executionId(2)));
            instance.awaitMetric("picofaas_runtime_in_flight 1");
            instance.awaitMetric("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1");
            // With its connection the other one is lost.
            frames.close();
            assertTrue(instance.lineWith("interrupted").contains(Handmade.executionId(1)));
            instance.awaitMetric("picofaas_runtime_in_flight 0");
            instance.awaitMetric("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 2");
        }
    }

    @Test
    void aHandlerThatIgnoresItsInterruptionHoldsUpNoSignOfLife() throws Exception {
        try (Instance instance = Instance.of("stubborn"); FrameWire frames = FrameWire.to(instance)) {
            frames.invoke(1, input("1"));
            instance.lineWith("waiting");
            frames.cancel(1);
            assertEquals(Handmade.DONE, frames.take().kind());
            frames.send(Handmade.frame(Handmade.PING, 0, 0, bytes("12345678")));
            FrameWire.Frame sign = frames.take();
            assertEquals(List.of(Handmade.PING, Handmade.ACK, "12345678"),
                List.of(sign.kind(), sign.flags(), new String(sign.payload(), StandardCharsets.UTF_8)));
        }
    }

    @Test
    void largeBodiesComeAndGoInPiecesBesideSmallOnes() throws Exception {
        try (Instance instance = Instance.of("echo"); FrameWire frames = FrameWire.to(instance)) {
            String large = "\"" + "xyz-".repeat((1 << 18) - 1) + "\"";
            frames.invokeInPieces(1, input(large));
            FrameWire.Answer first = frames.answer();
            assertEquals(large, first.body());
            assertTrue(first.pieces() >= 64, first.pieces() + " pieces");
            for (int sequence = 2; sequence <= 4; sequence++) {
                frames.invokeInPieces(sequence, input("\"" + Integer.toString(sequence).repeat(100_000) + "\""));
            }
            frames.invoke(5, input("5"));
            for (int n = 0; n < 4; n++) {
                FrameWire.Answer answer = frames.answer();
                int sequence = answer.sequence();
                assertEquals(sequence == 5 ? "5" : "\"" + Integer.toString(sequence).repeat(100_000) + "\"",
                    answer.body());
            }
            frames.invokeInPieces(6, input("6"));
            assertEquals(new FrameWire.Answer(6, 200, null, 0, "6"), frames.answer());
        }
    }

    @Test
    void whoIsSilentOrInTheMiddleOfAFrameOrDoesNotGreetIsLeft() throws Exception {
        try (Instance instance = Instance.of("never")) {
            FrameWire silent = FrameWire.to(instance);
            silent.beSilent();
            silent.invoke(1, input("1"));
            instance.lineWith("waiting");
            FrameWire half = FrameWire.to(instance);
            half.send(new byte[] {11, 0, 0, 0, 1});
            Wire mute = instance.connect();
            mute.send(FrameWire.UPGRADE);
            FrameWire ungreeted = FrameWire.on(mute);
            // One that has nothing to say stays.
            FrameWire idle = FrameWire.to(instance);

            assertEquals("0 0 the rest of a frame did not come", half.lastWords());
            assertEquals(Handmade.HELLO, ungreeted.take().kind());
            assertEquals("0 0 the rest of a frame did not come", ungreeted.lastWords());
            assertEquals(Handmade.PING, silent.take().kind());
            assertEquals("1 0 the gateway gave no sign of life", silent.lastWords());
            instance.lineWith("interrupted");
            instance.awaitMetric("picofaas_runtime_in_flight 0");
            idle.invoke(1, input("1"));
            instance.lineWith("waiting");
            for (FrameWire wire : List.of(silent, half, ungreeted, idle)) {
                wire.close();
            }
        }
    }

    @Test
    void garbageAfterTheUpgradeEndsTheConnectionAndWhatRunsOnIt() throws Exception {
        try (Instance instance = Instance.of("never"); FrameWire frames = FrameWire.to(instance)) {
            frames.invoke(1, input("1"));
            instance.lineWith("waiting");
            frames.send(bytes("GET /health HTTP/1.1\r\nhost: fn\r\n\r\n"));
            assertEquals("1 1 a frame is too long", frames.lastWords());
            List<String> lines = instance.linesUntil("interrupted");
            if (lines.stream().noneMatch(line -> line.equals("warning a connection was closed: a frame is too long"))) {
                instance.lineWith("warning a connection was closed: a frame is too long");
            }
            instance.awaitMetric("picofaas_runtime_invocations_total{outcome=\"cancelled\"} 1");
        }
    }

    @Test
    void sigtermAnswersWhatWasTakenDropsWhatComesAfterAndCloses(@TempDir Path folder) throws Exception {
        Path gate = folder.resolve("gate");
        try (Instance instance = Instance.of("gate"); FrameWire idle = FrameWire.to(instance)) {
            try (FrameWire frames = FrameWire.to(instance)) {
                frames.invoke(1, input(gate(gate)));
                frames.invoke(2, input(gate(gate)));
                instance.awaitMetric("picofaas_runtime_in_flight 2");
                instance.signal("TERM");
                assertEquals("2 0 drain", frames.goAway());
                assertEquals("0 0 drain", idle.lastWords());
                frames.invoke(3, input(gate(gate)));
                frames.cancel(3);
                Files.createFile(gate);
                List<Integer> answered = List.of(frames.answer().sequence(), frames.answer().sequence());
                assertEquals(List.of(1, 2), answered.stream().sorted().toList());
                assertTrue(frames.isClosed());
            }
            String end = instance.end();
            assertTrue(end.startsWith("0\n") && end.endsWith("stopped\n"), end);
        }
    }

    @Test
    void attemptsThatCameBeforeTheSignalAreAnswered() throws Exception {
        try (Instance instance = Instance.of("echo"); FrameWire frames = FrameWire.to(instance)) {
            // While the process is halted all of this piles up, to be found at once.
            instance.signal("STOP");
            frames.invoke(1, input("\"in time\""));
            instance.signal("TERM");
            instance.signal("CONT");
            List<String> seen = new ArrayList<>();
            for (int n = 0; n < 2; n++) {
                FrameWire.Frame frame = frames.take();
                seen.add(frame.kind() + " " + frame.sequence());
            }
            seen.sort(null);
            assertEquals(List.of(Handmade.HEAD + " 1", Handmade.GOAWAY + " 1"), seen);
            assertTrue(frames.isClosed());
            assertTrue(instance.end().startsWith("0\n"));
        }
    }

    @Test
    void onlyAnUpgradeToFramesIsOneAndOnlyWhereHttpIsInOrder() throws Exception {
        try (Instance instance = Instance.of("echo"); Wire wire = instance.connect()) {
            String path = "GET /invoke HTTP/1.1\r\nhost: fn\r\n";
            String ours = "upgrade: picofaas-frames/1\r\n";
            for (String request : List.of(path + "connection: upgrade\r\nupgrade: websocket\r\n\r\n",
                    path + "connection: upgrade\r\nupgrade: picofaas-frames/2\r\n\r\n", path + ours + "\r\n",
                    path + "connection: keep-alive\r\n" + ours + "\r\n", path + "\r\n",
                    FrameWire.UPGRADE.replace("1.1", "1.0").replace("Upgrade\r\n", "Upgrade, keep-alive\r\n"))) {
                wire.send(request);
                Wire.Message answer = wire.receive();
                assertEquals("405 METHOD_NOT_ALLOWED", answer.failure(), request);
                assertEquals("POST", answer.headers().get("allow"));
            }
            assertEquals(200, wire.invoke("connection: upgrade\r\n" + ours, input("1")).status());
            wire.send("GET /health HTTP/1.1\r\nhost: fn\r\nconnection: upgrade\r\n" + ours + "\r\n");
            assertEquals(200, wire.receive().status());
            // Behind another request, and with more HTTP behind it: nobody there waits for a 101.
            wire.send(Wire.invocation("", input("2")) + FrameWire.UPGRADE + "GET /health HTTP/1.1\r\nhost: fn\r\n\r\n");
            assertEquals("2", wire.receive().body());
            assertEquals("405 METHOD_NOT_ALLOWED", wire.receive().failure());
            assertEquals(200, wire.receive().status());
            wire.send(Wire.invocation("", input("3")) + FrameWire.UPGRADE);
            assertEquals("3", wire.receive().body());
            FrameWire frames = FrameWire.on(wire);
            frames.send(Handmade.hello());
            assertEquals(Handmade.HELLO, frames.take().kind());
            frames.invoke(1, input("4"));
            assertEquals("4", frames.answer().body());
        }
    }

    @Test
    void anUpgradeOfAWebPageOrToAnUnclearHostIsRefused() throws Exception {
        try (Instance instance = Instance.of("echo")) {
            for (String[] refused : new String[][] {{"Origin: https://a.example\r\n", "403 FOREIGN_ORIGIN"},
                    {"Sec-Fetch-Site: cross-site\r\n", "403 FOREIGN_ORIGIN"}, {"Host: b\r\n", "400 BAD_REQUEST"}}) {
                try (Wire wire = instance.connect()) {
                    wire.send(FrameWire.UPGRADE.replace("Connection", refused[0] + "Connection"));
                    assertEquals(refused[1], wire.receive().failure());
                    assertTrue(wire.isClosed());
                }
            }
        }
    }

    @Test
    void framesThatCameWithTheRequestAreReadAsFrames() throws Exception {
        try (Instance instance = Instance.of("echo"); Wire wire = instance.connect()) {
            ByteArrayOutputStream all = new ByteArrayOutputStream();
            for (byte[] part : List.of(bytes(FrameWire.UPGRADE.replace("Connection: Upgrade",
                    "Connection: keep-alive, UPGRADE").replace("Upgrade: p", "Upgrade: h2c, p")), Handmade.hello(),
                    FrameWire.request(1, input("1")))) {
                all.writeBytes(part);
            }
            wire.send(all.toByteArray());
            try (FrameWire frames = FrameWire.on(wire)) {
                assertEquals(Handmade.HELLO, frames.take().kind());
                assertEquals("1", frames.answer().body());
            }
        }
    }
}
