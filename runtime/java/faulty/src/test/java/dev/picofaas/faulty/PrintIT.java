// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Lines that a function prints: whole ones, each with the ids of its own execution. */
class PrintIT {
    private static final String FIRST = "1".repeat(40);
    private static final String SECOND = "2".repeat(40);

    private static String ids(String execution) {
        return "executionId=" + execution + " traceId=- ";
    }

    private static void invoke(Wire wire, String execution, String input) throws Exception {
        wire.send(Wire.invocation("", "{\"input\":" + input + "}").replace("e-1\r", execution + "\r"));
        assertEquals("null", wire.receive().body());
    }

    private static String print(String by, String text) {
        return "{\"by\":\"" + by + "\",\"text\":\"" + text + "\"}";
    }

    @ParameterizedTest
    @ValueSource(strings = {"out", "err", "begun", "parts", "jul", "system logger", "slf4j", "thread",
        "thread of a thread", "carried", "thread of a carried task"})
    void whatIsPrintedHasTheIdsOfItsExecutionWhicheverWayItIsPrinted(String by) throws Exception {
        try (Instance instance = Instance.of("print"); Wire wire = instance.connect()) {
            for (String execution : List.of(FIRST, SECOND)) {
                invoke(wire, execution, print(by, "said so"));
                for (String line : instance.linesUntil("said so")) {
                    assertTrue(line.startsWith(ids(execution)), line);
                }
            }
        }
    }

    @Test
    void whatThePoolsThreadPrintsHasIdsWhileTheProcessNeverHadAnotherExecutionAndNoneLater() throws Exception {
        try (Instance instance = Instance.of("print"); Wire wire = instance.connect()) {
            for (int n = 0; n < 2; n++) {
                invoke(wire, FIRST, print("pool", "said so"));
                assertEquals(ids(FIRST) + "said so", instance.lineWith("said so"));
            }
            invoke(wire, SECOND, print("pool", "said so"));
            assertEquals("said so", instance.lineWith("said so"));
        }
    }

    @Test
    void aLineOfNoExecutionNamesNoneByItsText() throws Exception {
        try (Instance instance = Instance.of("print"); Wire wire = instance.connect()) {
            invoke(wire, FIRST, print("out", "first"));
            instance.lineWith("first");
            for (String text : List.of("executionId=" + FIRST + " a", "info executionId=" + FIRST, FIRST,
                    "[" + FIRST + "] two", "INFO:root:[" + FIRST + "] three",
                    "{\\\"requestId\\\": \\\"" + FIRST + "\\\"}",
                    "{\\\"ctx\\\": {\\\"executionId\\\": \\\"" + FIRST + "\\\"}, cut")) {
                invoke(wire, SECOND, print("pool", text));
                assertEquals("executionId=- " + text.replace("\\", ""), instance.lineWith(FIRST));
            }
            String piece = "executionId=" + FIRST + " ";
            invoke(wire, SECOND, print("pool", "x".repeat(8192) + piece));
            assertEquals("x".repeat(8192), instance.lineWith("xxx"));
            assertEquals("executionId=- " + piece, instance.lineWith(FIRST));
            invoke(wire, SECOND, print("pool parts", piece));
            assertEquals("executionId=- " + piece, instance.lineWith(FIRST));
            invoke(wire, SECOND, print("pool", "0" + FIRST));
            assertEquals("0" + FIRST, instance.lineWith(FIRST));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"thread", "pool", "common pool", "scheduled", "delayed", "timer",
        "thread of a carried task"})
    void aLateLineHasNotTheIdsOfTheNextExecution(String left) throws Exception {
        try (Instance instance = Instance.of("left"); Wire wire = instance.connect()) {
            invoke(wire, FIRST, '"' + left + '"');
            invoke(wire, SECOND, "\"go\"");
            assertEquals("late", instance.lineWith("late"));
        }
    }

    @Test
    void aLateLineByTheContextOrOfATaskThatWasCarriedHasTheIdsOfItsOwnExecution() throws Exception {
        for (String left : List.of("logger", "carried")) {
            try (Instance instance = Instance.of("left"); Wire wire = instance.connect()) {
                invoke(wire, FIRST, '"' + left + '"');
                invoke(wire, SECOND, "\"go\"");
                String level = left.equals("logger") ? "info " : "";
                assertEquals(level + ids(FIRST) + "late", instance.lineWith("late"));
            }
        }
    }

    @Test
    void aLineThatSaysWhoseItIsStaysAsItIsAndAnIdElsewhereIsNoReasonToLeaveItOut() throws Exception {
        try (Instance instance = Instance.of("print"); Wire wire = instance.connect()) {
            for (String own : List.of("executionId=" + FIRST + " a", "info executionId=" + FIRST + " b",
                    "{\\\"c\\\": {}, \\\"executionId\\\": \\\"" + FIRST + "\\\"}")) {
                invoke(wire, FIRST, print("out", own));
                assertEquals(own.replace("\\", ""), instance.lineWith(FIRST));
            }
            for (String other : List.of("[" + FIRST + "] two", FIRST, "hello executionId=" + FIRST,
                    "{\\\"requestId\\\": \\\"" + FIRST + "\\\"}", "{\\\"executionId\\\": \\\"" + FIRST + "\\\", cut",
                    "{\\\"executionId\\\":\\\"" + SECOND + "\\\",\\\"executionId\\\":\\\"" + FIRST + "\\\"}",
                    "executionId=" + SECOND + " " + FIRST)) {
                invoke(wire, FIRST, print("out", other));
                assertEquals(ids(FIRST) + other.replace("\\", ""), instance.lineWith(FIRST));
            }
        }
    }

    @Test
    void linesOfManyExecutionsAndTheirThreadsAreWholeAndNotMixed() throws Exception {
        try (Instance instance = Instance.of("chorus")) {
            List<Wire> wires = new ArrayList<>();
            for (int n = 0; n < 8; n++) {
                Wire wire = instance.connect();
                wires.add(wire);
                wire.send(Wire.invocation("", "{\"input\":\"voice-" + n + " \"}").replace("e-1\r", "id-" + n + "\r"));
            }
            for (int n = 0; n < 8 * 2 * 50; n++) {
                String line = instance.lineWith("");
                String name = line.substring(line.indexOf("voice-") + 6, line.indexOf("voice-") + 7);
                assertEquals(ids("id-" + name) + "voice-" + name + " " + "€".repeat(1000), line);
            }
            for (Wire wire : wires) {
                assertEquals("null", wire.receive().body());
                wire.close();
            }
        }
    }

    @Test
    void aLongLineIsCutBetweenCharactersAndEachPieceHasTheIds() throws Exception {
        try (Instance instance = Instance.of("print"); Wire wire = instance.connect()) {
            invoke(wire, FIRST, print("begun", "x" + "€".repeat(6000)));
            assertEquals(ids(FIRST) + "x" + "€".repeat(2730), instance.lineWith("x€"));
            assertEquals(ids(FIRST) + "€".repeat(2730), instance.lineWith("€"));
            assertEquals(ids(FIRST) + "€".repeat(540), instance.lineWith("€"));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"exit", "halt"})
    void theLastWordsOfAProcessAreWritten(String by) throws Exception {
        try (Instance instance = Instance.of("print"); Wire wire = instance.connect()) {
            wire.send(Wire.invocation("", "{\"input\":" + print(by, "last words") + "}"));
            assertEquals(ids("e-1") + "last words", instance.lineWith("last words"));
        }
    }
}
