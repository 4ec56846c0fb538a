// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The archive of classes is made, or it is said why not; the build goes on either way. */
class RehearsalIT {
    private static final String JAVA = System.getProperty("java.command");
    private static final String NUMBER = "{\"input\":1}";

    @TempDir
    Path folder;

    /** The output of a build that has this handler rehearsed by this JVM, for at most so many seconds. */
    private String rehearse(String handler, String body, int seconds, String jvm, String... environment)
            throws Exception {
        List<String> command = new ArrayList<>(List.of(JAVA, "-Dpicofaas.rehearsal.seconds=" + seconds, "-cp",
            System.getProperty("function.jar"), "dev.picofaas.runtime.Rehearsal", body));
        command.addAll(List.of(jvm, "-XX:ArchiveClassesAtExit=" + archive(), "-XX:+UseSerialGC", "-Xlog:cds=off",
            "-Xlog:cds+dynamic=off"));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().clear();
        builder.environment().put("HANDLER", handler);
        builder.environment().putAll(Instance.environment(environment));
        Process process = builder.start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), said);
        return said;
    }

    private Path archive() {
        return folder.resolve("function.jsa");
    }

    /** A failed rehearsal: its warning has these parts, and no archive is left, not even an old one. */
    private void warns(String said, String... parts) {
        assertTrue(said.startsWith("warning no archive of classes was made, so the function starts more slowly: "), said);
        assertTrue(said.contains("\nwarning to have one, give "), said);
        for (String part : parts) {
            assertTrue(said.contains(part), "no `" + part + "` in: " + said);
        }
        assertFalse(Files.exists(archive()), said);
    }

    @Test
    void whatSucceedsIsSilentAndLeavesAnArchiveThatTheFunctionStartsWith() throws Exception {
        assertEquals("", rehearse("echo", NUMBER, 300, JAVA));
        Process process = new ProcessBuilder(JAVA, "-Xshare:on", "-XX:SharedArchiveFile=" + archive(),
            "-XX:+UseSerialGC", "-jar", System.getProperty("function.jar")).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(2, process.waitFor(), said);
        assertTrue(said.contains("neither PICOFAAS_SOCKET nor PORT is set"), said);
    }

    @Test
    void anOutputOfManyBytesIsRehearsedWhole() throws Exception {
        assertEquals("", rehearse("big", "{\"input\":{\"bytes\":1000000}}", 300, JAVA));
        assertTrue(Files.exists(archive()));
    }

    @Test
    void anInvocationThatDoesNotSucceedIsAWarningWithItsAnswerAndTheRemedy() throws Exception {
        Files.writeString(archive(), "of an earlier jar");
        warns(rehearse("status", "{\"input\":{\"stat\":1}}", 300, JAVA),
            "{\"input\":{\"stat\":1}} was answered 400 BAD_INPUT: input.", "rehearsal.body in pom.xml");
        warns(rehearse("status", "{\"input\":{\"status\":503,\"code\":\"MINE\",\"message\":\"a\\nb\"}}", 300, JAVA),
            " was answered 503 MINE: a b\n");
        warns(rehearse("panic", "{\"input\":\"ouch\"}", 300, JAVA), "was answered 500 HANDLER_ERROR: ouch",
            "Faulty$Panic.handle");
        warns(rehearse("panic", "not JSON", 300, JAVA), "not JSON was answered 400 BAD_INPUT");
        warns(rehearse("endless", NUMBER, 300, JAVA), "500 BAD_OUTPUT");
    }

    @Test
    void aHandlerThatCannotBeMadeIsAWarning() throws Exception {
        warns(rehearse("unmade", NUMBER, 300, JAVA), "no database");
        warns(rehearse("ecco", NUMBER, 300, JAVA), "`ecco`");
    }

    @Test
    void whatHangsIsEndedInTimeAndIsAWarningThatSaysHowToGiveItLonger() throws Exception {
        // A third of it is the handler's, and what is left is far more than a JVM needs to get there.
        warns(rehearse("stubborn", NUMBER, 45, JAVA), "504 HANDLER_TIMEOUT", "-Dpicofaas.rehearsal.seconds=225");
        warns(rehearse("echo", NUMBER, 3, JAVA, "CONTRACT_LOAD_MS", "3600000"), "was not over after 3 s",
            "-Dpicofaas.rehearsal.seconds=15");
    }

    @Test
    void aFunctionThatEndsItsProcessIsAWarningWithTheStatus() throws Exception {
        warns(rehearse("exit", NUMBER, 300, JAVA), "the function ended its process, with status 3");
    }

    @Test
    void aJvmThatCannotDoItIsAWarningWithWhatItSaid() throws Exception {
        warns(rehearse("echo", NUMBER, 300, "/nowhere/java"), "/nowhere/java", "give the rehearsal a JVM");
        Path old = Files.writeString(folder.resolve("java"), "#!/bin/sh\necho Unrecognized VM option; exit 1\n");
        assertTrue(old.toFile().setExecutable(true));
        warns(rehearse("echo", NUMBER, 300, old.toString()), "ended with status 1 before", "    Unrecognized VM option");
        // One that knows no archives and passes over the option.
        Files.writeString(old, "#!/bin/sh\nshift\nexec '" + JAVA + "' \"$@\"\n");
        warns(rehearse("echo", NUMBER, 300, old.toString()), " wrote no archive");
    }

    @Test
    void aCommandOfAnEarlierReleaseIsAWarningWithTheOneToWrite() throws Exception {
        Process process = new ProcessBuilder(JAVA, "-cp", System.getProperty("function.jar"),
            "dev.picofaas.runtime.Rehearsal", NUMBER).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), said);
        warns(said, "java -XX:ArchiveClassesAtExit=FILE");
    }
}
