// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * Makes the archive of a function's classes, when the function is built: has another JVM run the function once. The first
 * argument is the body of an invocation that succeeds, the others are the command of that JVM, with the options that
 * it writes the archive by and that the function is started with:
 *
 * <pre>{@code Rehearsal '{"input":…}' java -XX:ArchiveClassesAtExit=FILE -XX:+UseSerialGC}</pre>
 *
 * HANDLER chooses as always. The archive is there to start faster, so its absence never fails a build: whatever goes wrong
 * is a warning, in bounded time, and the exit code is 0.
 */
public final class Rehearsal {
    private static final String INPUT_REMEDY = "give the rehearsal an input that the function answers where it is built: "
        + "rehearsal.body in pom.xml, and the body in the Dockerfile";
    private static final String JVM_REMEDY = "give the rehearsal a JVM that runs the function and writes archives of "
        + "classes, as those of OpenJDK from 17 do, by its path or as `java` on PATH";
    private static final int LINES_SHOWN_MAX = 40;
    private static final long LAST_WORDS_MS = 1000;
    /** How long the whole may take, unless it is said otherwise. */
    private static final long SECONDS_MAX = 60;
    /** The system property that gives it more time, or less. */
    private static final String SECONDS = "picofaas.rehearsal.seconds";
    private static final String ARCHIVE = "-XX:ArchiveClassesAtExit=";

    /** Why there is no archive, and what to change. */
    private static final class Failed extends Exception {
        private static final long serialVersionUID = 1L;

        final String remedy;

        Failed(String why, String remedy) {
            super(why);
            this.remedy = remedy;
        }
    }

    /** The last that was written, for who reads the warning. */
    private final Deque<String> lines = new ArrayDeque<>();
    private volatile boolean begun;
    private volatile boolean succeeded;
    private volatile String failure;

    private Rehearsal() {}

    public static void main(String[] arguments) {
        Rehearsal rehearsal = new Rehearsal();
        try {
            rehearsal.run(List.of(arguments));
        } catch (Failed failed) {
            rehearsal.warn(failed.getMessage(), failed.remedy);
        } catch (IOException | InterruptedException | RuntimeException thrown) {
            rehearsal.warn(thrown.toString(), "make sure that the archive's folder can be written");
        }
        System.exit(0);
    }

    private void run(List<String> arguments) throws Failed, IOException, InterruptedException {
        Path archive = null;
        for (String argument : arguments) {
            archive = argument.startsWith(ARCHIVE) ? Path.of(argument.substring(ARCHIVE.length())) : archive;
        }
        if (arguments.size() < 2 || archive == null) {
            throw new Failed("Rehearsal was called with " + arguments.size() + " arguments", "give it the body of an "
                + "invocation, then the command of the JVM: '{\"input\":…}' java " + ARCHIVE + "FILE -XX:+UseSerialGC");
        }
        // One of an earlier jar would be of no use.
        Files.deleteIfExists(archive);
        try {
            rehearse(arguments.get(0), arguments.subList(1, arguments.size()));
            if (!Files.exists(archive)) {
                throw new Failed(arguments.get(1) + " wrote no archive", JVM_REMEDY);
            }
        } catch (Failed | IOException | InterruptedException failed) {
            Files.deleteIfExists(archive);
            throw failed;
        }
    }

    private void rehearse(String body, List<String> jvm) throws Failed, IOException, InterruptedException {
        long seconds = Math.max(1, Long.getLong(SECONDS, SECONDS_MAX));
        // The handler runs twice, and the JVM starts and ends.
        long deadlineMs = TimeUnit.SECONDS.toMillis(seconds) / 3;
        List<String> command = new ArrayList<>(jvm);
        Collections.addAll(command, "-cp", System.getProperty("java.class.path"), RehearsalRun.class.getName(), body,
            Long.toString(deadlineMs));
        Process process;
        try {
            process = new ProcessBuilder(command).redirectErrorStream(true)
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile())).start();
        } catch (IOException error) {
            throw new Failed(error.getMessage(), JVM_REMEDY);
        }
        Runtime.getRuntime().addShutdownHook(new Thread(() -> kill(process)));
        Thread reader = new Thread(() -> read(process), "output");
        reader.setDaemon(true);
        reader.start();
        if (!process.waitFor(seconds, TimeUnit.SECONDS)) {
            kill(process);
            throw new Failed("the rehearsal was not over after " + seconds + " s", longer(seconds));
        }
        // Processes that the function left running may hold the output open for ever.
        reader.join(LAST_WORDS_MS);
        judge(process.exitValue(), jvm.get(0), seconds);
    }

    private static String longer(long seconds) {
        return INPUT_REMEDY + "; where it only needs longer, say -D" + SECONDS + "=" + seconds * 5 + " before -cp";
    }

    private void judge(int status, String jvm, long seconds) throws Failed {
        if (failure != null) {
            throw new Failed(failure, failure.contains(" 504 ") ? longer(seconds) : INPUT_REMEDY);
        }
        if (!begun) {
            throw new Failed(jvm + " ended with status " + status + " before it ran the runtime", JVM_REMEDY);
        }
        if (status != 0 || !succeeded) {
            throw new Failed("the function ended its process, with status " + status, INPUT_REMEDY);
        }
    }

    private static void kill(Process process) {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
    }

    private void read(Process process) {
        try (BufferedReader reader = process.inputReader(StandardCharsets.UTF_8)) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                take(line);
            }
        } catch (IOException closed) {
            // It was killed.
        }
    }

    private synchronized void take(String line) {
        if (line.equals(RehearsalRun.BEGUN)) {
            begun = true;
        } else if (line.equals(RehearsalRun.SUCCEEDED)) {
            succeeded = true;
        } else if (line.startsWith(RehearsalRun.FAILED)) {
            failure = line.substring(RehearsalRun.FAILED.length());
        } else if (!line.isBlank()) {
            lines.add(line);
            if (lines.size() > LINES_SHOWN_MAX) {
                lines.remove();
            }
        }
    }

    private synchronized void warn(String why, String remedy) {
        Log.line("warning no archive of classes was made, so the function starts more slowly: " + why);
        Log.line("warning to have one, " + remedy);
        lines.forEach(line -> Log.line("    " + line));
    }
}
