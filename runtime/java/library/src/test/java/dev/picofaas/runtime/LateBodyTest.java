// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** A body that does not come in time, on a clock that stands still until it is told to go on. */
class LateBodyTest {
    private static final String HEAD =
        "POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e-1\r\ncontent-length: 12\r\n\r\n";

    @Test
    void aBodyThatDoesNotComeInTimeIs408AndTheConnectionIsClosed() throws StartException {
        Server server = Connected.server();
        Connected connected = new Connected(server);
        connected.send(HEAD + "{\"inp");
        connected.pass(Limits.BODY_READ_MS_MAX - 1);
        assertNull(connected.answer());
        connected.pass(1);
        String answer = connected.answer();
        assertTrue(answer.startsWith("HTTP/1.1 408 Request Timeout\r\n"), answer);
        assertTrue(answer.contains("\"code\":\"BODY_TIMEOUT\"") && answer.contains("connection: close\r\n"), answer);
        assertTrue(connected.isOutputShutdown());
        // The rest, which comes too late, is read, so that closing does not take the answer back.
        connected.send("ut\":1}");
        assertTrue(connected.isOpen());
        connected.pass(Limits.LINGER_MS);
        assertNull(connected.answer());
        assertFalse(connected.isOpen());
        assertEquals(0, server.metrics.inFlight());
    }

    @Test
    void aTimeThatRunsOutBetweenRequestsHarmsNoConnection() throws StartException {
        Connected connected = new Connected(Connected.server());
        connected.send("GET /health HTTP/1.1\r\nhost: fn\r\n\r\n");
        assertTrue(connected.answer().startsWith("HTTP/1.1 200 "));
        connected.pass(Limits.BODY_READ_MS_MAX);
        assertNull(connected.answer());
        connected.send("GET /health HTTP/1.1\r\nhost: fn\r\n\r\n");
        assertTrue(connected.answer().startsWith("HTTP/1.1 200 "));
    }
}
