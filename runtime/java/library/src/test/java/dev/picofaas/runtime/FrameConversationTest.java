// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.picofaas.runtime.frames.Handmade;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Answers that are written together over frames, and a body that comes too late, on a clock that stands still. */
class FrameConversationTest {
    private static final String UPGRADE = "GET /invoke HTTP/1.1\r\nHost: instance\r\nConnection: Upgrade\r\n"
        + "Upgrade: picofaas-frames/1\r\n\r\n";

    private final Server server;
    private final Connected connected;

    FrameConversationTest() throws StartException {
        server = Connected.server();
        connected = new Connected(server);
        connected.send(UPGRADE);
        assertEquals("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: picofaas-frames/1\r\n\r\n",
            new String(connected.batch(), StandardCharsets.UTF_8));
        byte[] hello = connected.batch();
        assertEquals(28, hello.length);
        // Both greet with the same limits; how many attempts a gateway takes is not looked at.
        connected.send(hello);
        assertNull(connected.batch());
    }

    /** A HEAD of a request with a body of one byte, which is not inside of it. */
    private static byte[] request(int sequence, int deadlineMs) {
        return Handmade.invocation(sequence, 0, 1, deadlineMs, 1, 0);
    }

    /** Sequence, flags and status of each HEAD of a batch, sorted. */
    private static List<String> answers(byte[] batch) {
        List<String> answers = new ArrayList<>();
        ByteBuffer rest = ByteBuffer.wrap(batch).order(ByteOrder.LITTLE_ENDIAN);
        while (rest.hasRemaining()) {
            int at = rest.position();
            assertEquals(Handmade.HEAD, rest.get(at + 8));
            answers.add(rest.getInt(at + 4) + " " + rest.get(at + 9) + " " + rest.getShort(at + 12));
            rest.position(at + 12 + rest.getInt(at));
        }
        answers.sort(null);
        return answers;
    }

    @Test
    void answersThatAreReadyTogetherAreWrittenTogether() {
        ByteArrayOutputStream requests = new ByteArrayOutputStream();
        for (int sequence = 1; sequence <= 3; sequence++) {
            requests.writeBytes(request(sequence, 10));
        }
        connected.send(requests.toByteArray());
        assertEquals(3, server.metrics.inFlight());
        assertNull(connected.batch());
        connected.pass(10);
        connected.pass(0);
        assertEquals(List.of("1 1 504", "2 1 504", "3 1 504"), answers(connected.batch()));
        assertNull(connected.batch());
        assertEquals(0, server.metrics.inFlight());
    }

    @Test
    void aBodyThatDoesNotComeInTimeIs408AndCostsNothingElse() {
        connected.send(request(1, 86_400_000));
        connected.pass(Limits.BODY_READ_MS_MAX - 1);
        assertNull(connected.batch());
        connected.pass(1);
        connected.pass(0);
        assertEquals(List.of("1 1 408"), answers(connected.batch()));
        // The rest, which comes too late, is dropped.
        connected.send(Handmade.frame(Handmade.DATA, 1, Handmade.END, (byte) 0));
        connected.send(request(2, 10));
        connected.pass(10);
        connected.pass(0);
        assertEquals(List.of("2 1 504"), answers(connected.batch()));
        assertTrue(connected.isOpen());
    }

    @Test
    void aConnectionThatIsLostTakesItsAttemptsWithIt() {
        connected.send(request(1, 1000));
        connected.send(request(2, 1000));
        assertEquals(2, server.metrics.inFlight());
        connected.close();
        assertEquals(0, server.metrics.inFlight());
        assertFalse(connected.isOpen());
        connected.pass(Limits.BODY_READ_MS_MAX);
    }
}
