// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** A JOB: one input, one run, one result; and its calls going wrong. */
class JobIT {
    private static final String TAKEN = "HTTP/1.1 204 No Content\r\n\r\n";
    private static final String ID = "e-77";

    /** The control plane, of which the test is the other end. */
    private static final class Plane implements AutoCloseable {
        final ServerSocketChannel listener = ServerSocketChannel.open();

        Plane(int port) throws IOException {
            listener.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
        }

        int port() throws IOException {
            return ((InetSocketAddress) listener.getLocalAddress()).getPort();
        }

        Instance job(String handler, String... more) throws IOException {
            return start(port(), handler, more);
        }

        Wire accept() throws IOException {
            return new Wire(listener.accept());
        }

        /** The connection of a JOB that was given this input. */
        Wire handOut(String headers, String body) throws IOException {
            Wire caller = accept();
            caller.receive();
            caller.send(input(headers, body));
            return caller;
        }

        @Override
        public void close() throws IOException {
            listener.close();
        }
    }

    private static Instance start(int port, String handler, String... more) throws IOException {
        Map<String, String> environment = Instance.environment(more);
        environment.putAll(Map.of("EXECUTION_MODE", "JOB", "EXECUTION_ID", ID, "PICOFAAS_TOKEN", "t0ken", "HANDLER",
            handler, "PICOFAAS_RUNTIME_URL", "http://127.0.0.1:" + port));
        return Instance.start(environment);
    }

    private static String input(String headers, String body) {
        return "HTTP/1.1 200 OK\r\nX-Execution-Id: " + ID + "\r\n" + headers + "Content-Length: " + body.length()
            + "\r\n\r\n" + body;
    }

    private static String refusal(int status, String code) {
        String body = "{\"error\":{\"code\":\"" + code + "\",\"message\":\"m\"}}";
        return "HTTP/1.1 " + status + " No\r\nContent-Length: " + body.length() + "\r\n\r\n" + body;
    }

    private static void ends(Instance job, int code) throws Exception {
        String end = job.end();
        assertTrue(end.startsWith(code + "\n"), end);
    }

    @Test
    void itAsksForItsInputRunsTheHandlerAndPostsTheOutputOnOneConnection() throws Exception {
        try (Plane plane = new Plane(0); Instance job = plane.job("context", "PICOFAAS_SOCKET", "/nowhere/fn.sock");
                Wire caller = plane.accept()) {
            Wire.Message asked = caller.receive();
            assertEquals("GET /v1/internal/executions/" + ID + "/input HTTP/1.1", asked.line());
            assertEquals("Bearer t0ken", asked.headers().get("authorization"));
            assertEquals("127.0.0.1:" + plane.port(), asked.headers().get("host"));
            caller.send(input("X-Trace-Id: t-1\r\nX-Attempt: 3\r\n", "{\"input\":[7],\"metadata\":{\"a\":\"b\"}}"));
            Wire.Message posted = caller.receive();
            assertEquals("POST /v1/internal/executions/" + ID + ":complete HTTP/1.1", posted.line());
            assertEquals("Bearer t0ken", posted.headers().get("authorization"));
            assertEquals("application/json", posted.headers().get("content-type"));
            assertTrue(Long.parseLong(posted.headers().get("x-init-duration-ms")) >= 1);
            assertEquals("{\"success\":true,\"output\":{\"input\":[7],\"executionId\":\"" + ID
                + "\",\"traceId\":\"t-1\",\"traceparent\":null,\"tracestate\":null,\"attempt\":3,"
                + "\"leftMs\":null,\"idempotencyKey\":null,\"metadata\":{\"a\":\"b\"}},\"error\":null,\"status\":200}", posted.body());
            caller.send(TAKEN);
            assertTrue(caller.isClosed(), "it says one thing and ends");
            assertEquals("0\n", job.end(), "there is nothing to say about a success");
        }
    }

    @Test
    void everyFailureIsPostedWithTheStatusItWouldHaveBeenAnsweredWith() throws Exception {
        String[][] cases = {
            {"status", "", "{\"input\":{\"status\":422,\"code\":\"MINE\",\"message\":\"m\"}}", "422", "MINE"},
            {"panic", "", "{\"input\":\"ouch\"}", "500", "HANDLER_ERROR"},
            {"sleep", "", "{\"input\":\"x\"}", "400", "BAD_INPUT"},
            {"exit", "X-Attempt: 0\r\n", "{\"input\":1}", "400", "BAD_HEADER"},
            {"exit", "X-Deadline-Ms: 0\r\n", "{\"input\":1}", "504", "HANDLER_TIMEOUT"},
            {"stubborn", "X-Deadline-Ms: 20\r\n", "{\"input\":1}", "504", "HANDLER_TIMEOUT"},
            {"echo", "", "{\"input\":\"" + "x".repeat(40) + "\"}", "500", "OUTPUT_TOO_LARGE"},
            {"echo", "", "{\"input\":\"" + "x".repeat(100) + "\"}", "413", "BODY_TOO_LARGE"},
        };
        for (String[] bad : cases) {
            try (Plane plane = new Plane(0); Instance job = plane.job(bad[0], "MAX_OUTPUT", "40", "MAX_BODY", "99");
                    Wire caller = plane.handOut("X-Trace-Id: t-1\r\n" + bad[1], bad[2])) {
                // An answer that was not read whole leaves its connection unusable.
                Wire second = bad[4].equals("BODY_TOO_LARGE") ? plane.accept() : caller;
                Wire.Message posted = second.receive();
                String isFinal = bad[4].equals("OUTPUT_TOO_LARGE") ? ",\"retryable\":false" : "";
                assertEquals("{\"success\":false,\"output\":null,\"error\":{\"code\":\"" + bad[4] + "\",\"message\":"
                    + posted.json().at("/error/message") + isFinal + "},\"status\":" + bad[3] + "}", posted.body());
                second.send(TAKEN);
                String end = job.end();
                assertTrue(end.startsWith("0\n") || end.contains("\n0\n"), end);
                assertTrue(end.contains("error executionId=" + ID + " traceId=t-1 code=" + bad[4]), end);
            }
        }
    }

    @Test
    void aResultIsPostedUntilItIsTakenAndAlwaysTheSame() throws Exception {
        try (Plane plane = new Plane(0); Instance job = plane.job("echo");
                Wire caller = plane.handOut("", "{\"input\":1}")) {
            Wire.Message first = caller.receive();
            for (int status : new int[] {503, 429, 408}) {
                caller.send(refusal(status, "LATER"));
                assertEquals(first.body(), caller.receive().body());
            }
            caller.send(TAKEN);
            String end = job.end();
            assertTrue(end.matches("0\nwarning executionId=" + ID + " .*503.*LATER.*; trying again\n"), end);
        }
    }

    @Test
    void anAttemptThatNobodyWaitsForEndsAsASuccess() throws Exception {
        try (Plane plane = new Plane(0)) {
            try (Instance job = plane.job("echo"); Wire caller = plane.handOut("", "{\"input\":1}")) {
                caller.receive();
                caller.send(refusal(409, "ALREADY_TERMINAL"));
                ends(job, 0);
            }
            // Nor is it begun. The handler would end the process with 3.
            try (Instance job = plane.job("exit"); Wire caller = plane.accept()) {
                caller.receive();
                caller.send(refusal(409, "ATTEMPT_SUPERSEDED"));
                ends(job, 0);
            }
        }
    }

    @Test
    void aRefusalOfEitherCallIsFinalAndAFailure() throws Exception {
        try (Plane plane = new Plane(0)) {
            for (int status : new int[] {401, 404, 410}) {
                try (Instance job = plane.job("exit"); Wire caller = plane.accept()) {
                    caller.receive();
                    caller.send(refusal(status, "NO"));
                    String end = job.end();
                    assertTrue(end.startsWith("1\nerror executionId=" + ID
                        + " traceId=- the control plane answered " + status), end);
                }
            }
            try (Instance job = plane.job("echo"); Wire caller = plane.handOut("", "{\"input\":1}")) {
                caller.receive();
                caller.send(refusal(401, "NO"));
                ends(job, 1);
            }
        }
    }

    @Test
    void anInputThatDidNotComeWholeIsAskedForAgain() throws Exception {
        String ok = "HTTP/1.1 200 OK\r\n";
        try (Plane plane = new Plane(0); Instance job = plane.job("echo")) {
            for (String broken : List.of("", "\u0016 this is not HTTP\r\n\r\n", ok + "Content-Length: 11\r\n\r\n{\"in",
                    ok + "X-Long: " + "x".repeat(17_000) + "\r\n\r\n", ok + "Transfer-Encoding: gzip\r\n\r\n{}",
                    ok + "Content-Length: 11\r\nContent-Length: 2\r\n\r\n{}",
                    ok + "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"inp..6\r\nut\":1}\r\n0\r\n\r\n")) {
                try (Wire caller = plane.accept()) {
                    caller.receive();
                    caller.send(broken);
                }
            }
            try (Wire caller = plane.accept()) {
                caller.receive();
                caller.send(refusal(503, "NOT_YET"));
                // A whole answer leaves the connection open.
                caller.receive();
                caller.send(ok + "X-Execution-Id: " + ID + "\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "5\r\n{\"inp\r\n6\r\nut\":1}\r\n0\r\n\r\n");
                assertEquals(1, caller.receive().json().get("output").asInt());
                caller.send(TAKEN);
                ends(job, 0);
            }
        }
    }

    @Test
    void aControlPlaneThatIsNotThereYetIsWaitedForAndOneThatHungUpIsCalledAgain() throws Exception {
        int port;
        try (Plane gone = new Plane(0)) {
            port = gone.port();
        }
        try (Instance job = start(port, "echo")) {
            assertTrue(job.lineWith("trying again").contains("PICOFAAS_RUNTIME_URL"));
            try (Plane plane = new Plane(port)) {
                Wire.Message posted;
                try (Wire caller = plane.handOut("", "{\"input\":1}")) {
                    posted = caller.receive();
                    // Closed instead of answered: whether the result was taken is not known.
                }
                try (Wire caller = plane.accept()) {
                    assertEquals(posted.body(), caller.receive().body());
                    caller.send(TAKEN);
                    ends(job, 0);
                }
            }
        }
    }

    @Test
    void sigtermInterruptsTheHandlerAndPostsNothing() throws Exception {
        try (Plane plane = new Plane(0)) {
            for (String signal : List.of("TERM", "INT")) {
                try (Instance job = plane.job("never"); Wire caller = plane.handOut("", "{\"input\":1}")) {
                    job.lineWith("waiting");
                    job.signal(signal);
                    assertTrue(job.lineWith("interrupted").contains(ID));
                    assertTrue(caller.isClosed(), "nothing is posted");
                    String end = job.end();
                    assertTrue(end.startsWith("143\n") && end.contains("stopped by SIG" + signal), end);
                }
            }
        }
    }

    @Test
    void sigtermDoesNotStopAResultThatIsUnderWay() throws Exception {
        try (Plane plane = new Plane(0); Instance job = plane.job("echo");
                Wire caller = plane.handOut("", "{\"input\":1}")) {
            caller.receive();
            job.signal("TERM");
            caller.send(refusal(503, "LATER"));
            assertEquals(200, caller.receive().json().get("status").asInt());
            caller.send(TAKEN);
            ends(job, 0);
        }
    }

    @Test
    void whatIsMissingOrMalformedIsNamedAndTheTokenNotRepeated() throws Exception {
        String[][] cases = {
            {"EXECUTION_ID", "a/b"}, {"PICOFAAS_RUNTIME_URL", "127.0.0.1:9"},
            {"PICOFAAS_RUNTIME_URL", "http://127.0.0.1:9/v1"}, {"PICOFAAS_TOKEN", "t0 ken"}, {"PICOFAAS_TOKEN", ""},
        };
        for (String[] bad : cases) {
            Map<String, String> environment = Instance.environment("EXECUTION_MODE", "JOB", "EXECUTION_ID", ID,
                "PICOFAAS_RUNTIME_URL", "http://127.0.0.1:9", "PICOFAAS_TOKEN", "t0ken", "HANDLER", "echo");
            environment.put(bad[0], bad[1]);
            try (Instance job = Instance.start(environment)) {
                String end = job.end();
                assertTrue(end.startsWith("2\n") && end.contains(bad[0] + " is ") && !end.contains("0 ken"), end);
            }
        }
    }
}
