// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Faults that keep an instance from starting, and how it ends. */
class StartAndStopIT {
    private static void refuses(int code, List<String> said, String... environment) throws Exception {
        try (Instance instance = Instance.start(Instance.environment(environment))) {
            String end = instance.end();
            assertTrue(end.startsWith(code + "\n"), end);
            for (String part : said) {
                assertTrue(end.contains(part), "no `" + part + "` in: " + end);
            }
        }
    }

    @Test
    void whatTheEnvironmentDoesNotSayClearlyIsRefusedByName() throws Exception {
        refuses(2, List.of("PICOFAAS_SOCKET", "PORT"), "HANDLER", "echo");
        refuses(2, List.of("PORT is `65536`"), "HANDLER", "echo", "PORT", "65536");
        refuses(2, List.of("EXECUTION_MODE is `warm`", "WARM, POOL or JOB"), "PORT", "0", "EXECUTION_MODE", "warm");
        refuses(2, List.of("MAX_OUTPUT is `0`"), "PORT", "0", "MAX_OUTPUT", "0");
    }

    @Test
    void anUnknownHandlerIsRefusedWithThoseThatExistAndThoseThatAreBroken() throws Exception {
        refuses(2, List.of("`ecco`", "echo, context, sleep", "NotThere"), "HANDLER", "ecco", "PORT", "0");
        refuses(2, List.of("HANDLER is not set", "echo, context, sleep"), "PORT", "0");
        refuses(2, List.of("unmade cannot be made", "no database"), "HANDLER", "unmade", "PORT", "0");
    }

    @Test
    void aSocketLeftByAKilledPredecessorIsReplaced() throws Exception {
        try (Instance killed = Instance.of("echo")) {
            killed.signal("KILL");
            killed.end();
            assertTrue(Files.exists(killed.socket()));
            try (Instance next = Instance.start(
                    Instance.environment("HANDLER", "echo", "PICOFAAS_SOCKET", killed.socket().toString()))) {
                next.lineWith("listening");
                try (Wire wire = Wire.to(UnixDomainSocketAddress.of(killed.socket()))) {
                    assertEquals(200, wire.get("/health").status());
                }
            }
        }
    }

    @Test
    void aSocketThatAnswersAndAFileThatIsNoneAreLeftAlone(@TempDir Path folder) throws Exception {
        Path path = folder.resolve("taken");
        try (ServerSocketChannel other = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            other.bind(UnixDomainSocketAddress.of(path));
            refuses(1, List.of("another process"), "HANDLER", "echo", "PICOFAAS_SOCKET", path.toString());
        }
        Files.delete(path);
        Files.writeString(path, "precious");
        refuses(1, List.of("not a socket"), "HANDLER", "echo", "PICOFAAS_SOCKET", path.toString());
        assertEquals("precious", Files.readString(path));
        refuses(1, List.of("no/such/place"), "HANDLER", "echo", "PICOFAAS_SOCKET",
            folder.resolve("no/such/place").toString());
        assertEquals(List.of(path), Files.list(folder).toList());
    }

    @Test
    void sigtermFinishesWhatRunsAndExits0WithoutItsSocket(@TempDir Path folder) throws Exception {
        Path gate = folder.resolve("gate");
        String input = "{\"file\":\"" + gate + "\",\"n\":1}";
        try (Instance instance = Instance.of("gate"); Wire idle = instance.connect()) {
            assertEquals(200, idle.get("/health").status());
            try (Wire running = instance.connect()) {
                running.send(Wire.invocation("", "{\"input\":" + input + "}"));
                instance.awaitMetric("picofaas_runtime_in_flight 1");
                instance.signal("TERM");
                assertTrue(instance.lineWith("stopping").contains("1 in flight"));
                assertFalse(Files.exists(instance.socket()), "nobody new may come");
                assertTrue(idle.isClosed(), "an idle connection is closed at once");
                // A second signal, as a terminal and a parent may both send one, changes nothing.
                instance.signal("INT");
                Files.createFile(gate);
                Wire.Message answer = running.receive();
                assertEquals(input, answer.body());
                assertEquals("close", answer.headers().get("connection"));
                assertTrue(running.isClosed());
            }
            assertEquals("0\nstopped\n", instance.end());
        }
    }

    @Test
    void requestsThatCameBeforeTheSignalAreAnswered() throws Exception {
        try (Instance instance = Instance.of("echo"); Wire known = instance.connect()) {
            assertEquals(200, known.get("/health").status());
            // While the process is halted all of this piles up, to be found at once.
            instance.signal("STOP");
            try (Wire fresh = instance.connect()) {
                for (Wire wire : List.of(known, fresh)) {
                    wire.send(Wire.invocation("", "{\"input\":\"in time\"}"));
                }
                instance.signal("TERM");
                instance.signal("CONT");
                for (Wire wire : List.of(known, fresh)) {
                    assertEquals("\"in time\"", wire.receive().body());
                    assertTrue(wire.isClosed());
                }
            }
            assertTrue(instance.end().startsWith("0\n"));
        }
    }

    @Test
    void anIdleInstanceEndsOnSigtermAndOnSigintAlsoOnAPort() throws Exception {
        for (Instance started : List.of(Instance.of("echo"), Instance.onPort("echo"))) {
            try (Instance instance = started; Wire fresh = instance.connect()) {
                instance.signal(instance.greeting.contains("unix") ? "TERM" : "INT");
                assertTrue(fresh.isClosed(), "a connection that said nothing does not hold it up");
                assertTrue(instance.end().startsWith("0\n"));
            }
        }
    }

    @Test
    void theSocketOfASuccessorSurvivesItsPredecessor() throws Exception {
        try (Instance instance = Instance.of("echo")) {
            Files.delete(instance.socket());
            try (ServerSocketChannel successor = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
                successor.bind(UnixDomainSocketAddress.of(instance.socket()));
                instance.signal("TERM");
                assertTrue(instance.end().startsWith("0\n"));
                assertTrue(Files.exists(instance.socket()));
            }
        }
    }
}
