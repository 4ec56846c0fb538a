// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The functions that tests of other parts use do what those tests take them for. */
class FunctionsIT {
    @Test
    void aFunctionThatLoadsSlowlyListensWhenItHasLoaded() throws Exception {
        long began = System.nanoTime();
        try (Instance slow = Instance.start(Map.of("HANDLER", "echo", "PORT", "0", "CONTRACT_LOAD_MS", "300"))) {
            List<String> said = slow.linesUntil("listening");
            assertTrue(System.nanoTime() - began >= 300_000_000);
            assertEquals("loaded", said.get(0), "loaded first, then listening");
        }
        try (Instance usual = Instance.start(Map.of("HANDLER", "echo", "PORT", "0"))) {
            assertFalse(usual.linesUntil("listening").contains("loaded"));
        }
    }

    @Test
    void whatIsSleptOnComesBackWhole() throws Exception {
        try (Instance instance = Instance.of("sleep"); Wire wire = instance.connect()) {
            assertEquals("{\"ms\":0,\"more\":[1.5]}",
                wire.invoke("", "{\"input\":{\"ms\":0,\"more\":[1.5]}}").body());
            assertEquals("{\"ms\":0}", wire.invoke("", "{\"input\":{\"ms\":0}}").body());
        }
    }

    @Test
    void aProcessSaysWhichItIs() throws Exception {
        try (Instance instance = Instance.of("identity"); Wire wire = instance.connect()) {
            String pid = Long.toString(instance.process.pid());
            assertEquals("{\"input\":[1e2],\"pid\":" + pid + ",\"attempt\":2,\"executionId\":\"e-1\"}",
                wire.invoke("x-attempt: 2\r\n", "{\"input\":[1e2]}").body());
        }
    }

    @Test
    void anOutputIsAsBigAsToldAndRefusedWhereThatIsTooMuch() throws Exception {
        try (Instance instance = Instance.of("big", "MAX_OUTPUT", "1000"); Wire wire = instance.connect()) {
            assertEquals("\"" + "x".repeat(998) + "\"", wire.invoke("", "{\"input\":{\"bytes\":998}}").body());
            assertEquals("500 OUTPUT_TOO_LARGE", wire.invoke("", "{\"input\":{\"bytes\":999}}").failure());
        }
    }

    @Test
    void whatCannotBeReadIsNoOutput() throws Exception {
        try (Instance instance = Instance.of("unserialisable"); Wire wire = instance.connect()) {
            assertEquals("500 BAD_OUTPUT", wire.invoke("", "{\"input\":1}").failure());
        }
    }

    @Test
    void aHandlerMayWriteToStandardErrorItself() throws Exception {
        try (Instance instance = Instance.of("write"); Wire wire = instance.connect()) {
            String pid = Long.toString(instance.process.pid());
            assertEquals(pid, wire.invoke("", "{\"input\":{\"to\":\"stderr\",\"text\":\"é {id} {n}\",\"times\":2,"
                + "\"bytes\":[104,105,32]}}").body());
            assertEquals("hi é e-1 0", instance.lineWith(""));
            assertEquals("é e-1 1", instance.lineWith(""));
            assertEquals(pid, wire.invoke("", "{\"input\":{\"to\":\"stdout\",\"text\":\"unseen\"}}").body());
        }
    }

    @Test
    void aFloodGoesOnBehindItsAnswer() throws Exception {
        try (Instance instance = Instance.of("flood"); Wire wire = instance.connect()) {
            String pid = Long.toString(instance.process.pid());
            for (int n = 0; n < 2; n++) {
                assertEquals(pid, wire.invoke("", "{\"input\":{\"to\":\"stdout\",\"text\":\"wet {n}\"}}").body());
            }
            for (int n = 0; n < 20_000; n++) {
                assertEquals("wet " + n % 1000, instance.lineWith("wet"));
            }
        }
    }

    @Test
    void whatComputesElsewhereIsWaitedFor() throws Exception {
        try (Instance instance = Instance.of("compute"); Wire wire = instance.connect()) {
            long began = System.nanoTime();
            assertEquals("null", wire.invoke("", "{\"input\":{\"ms\":50}}").body());
            assertTrue(System.nanoTime() - began >= 50_000_000);
        }
    }

    @Test
    void aHandlerThatIsMissingIsNamed() throws Exception {
        try (Instance instance = Instance.start(Map.of("HANDLER", "missing", "PORT", "0"))) {
            String end = instance.end();
            assertTrue(end.startsWith("2\n") && end.contains("`missing`"), end);
        }
    }
}
