// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.stream.Stream;

/** The function as a process; killed at the end. */
final class Instance implements AutoCloseable {
    private static final String JAR = System.getProperty("function.jar");
    /** Not a line: known by identity. */
    private static final String END = new String("end");
    private static final String ARCHIVE = System.getProperty("function.archive");

    final Process process;
    /** As many lines as a test may leave unread; a process that writes more waits for the test, as for a slow reader. */
    private final BlockingQueue<String> log = new LinkedBlockingQueue<>(10_000);
    private final Path folder;
    private SocketAddress address;
    String greeting;

    private Instance(Path folder, Map<String, String> environment) throws IOException {
        this.folder = folder;
        ProcessBuilder builder = new ProcessBuilder(System.getProperty("java.command"),
            "-XX:SharedArchiveFile=" + ARCHIVE, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", JAR);
        builder.environment().clear();
        builder.environment().putAll(environment);
        builder.redirectErrorStream(true).redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()));
        process = builder.start();
        // Read at once, so that a process that says much does not wait for the test to listen.
        Thread reader = new Thread(this::read, "log");
        reader.setDaemon(true);
        reader.start();
    }

    private void read() {
        try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                log.put(line);
            }
        } catch (IOException closed) {
            // The process is gone.
        } catch (InterruptedException stopped) {
            return;
        }
        keep(END);
    }

    private void keep(String line) {
        try {
            log.put(line);
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }

    /** The next line, or null at the end. */
    private String line() throws IOException {
        try {
            String line = log.take();
            if (line == END) {
                keep(END);
                return null;
            }
            return line;
        } catch (InterruptedException late) {
            throw new InterruptedIOException();
        }
    }

    /** A process of which nothing is known yet. */
    static Instance start(Map<String, String> environment) throws IOException {
        return new Instance(Files.createTempDirectory("picofaas"), environment);
    }

    /** A handler that listens on a Unix socket. */
    static Instance of(String handler, String... more) throws IOException {
        Path folder = Files.createTempDirectory("picofaas");
        Path socket = folder.resolve("fn.sock");
        Map<String, String> environment = environment(more);
        environment.put("HANDLER", handler);
        environment.put("PICOFAAS_SOCKET", socket.toString());
        Instance instance = new Instance(folder, environment);
        instance.greeting = instance.lineWith("listening on unix:" + socket);
        instance.address = UnixDomainSocketAddress.of(socket);
        return instance;
    }

    /** A handler that listens on a port. */
    static Instance onPort(String handler, String... more) throws IOException {
        Map<String, String> environment = environment(more);
        environment.put("HANDLER", handler);
        environment.put("PORT", "0");
        Instance instance = start(environment);
        instance.greeting = instance.lineWith("listening on http://0.0.0.0:");
        int port = Integer.parseInt(instance.greeting.split(":")[2].split(" ")[0]);
        instance.address = new InetSocketAddress("127.0.0.1", port);
        return instance;
    }

    static Map<String, String> environment(String... pairs) {
        Map<String, String> environment = new HashMap<>();
        for (int at = 0; at < pairs.length; at += 2) {
            environment.put(pairs[at], pairs[at + 1]);
        }
        return environment;
    }

    Path socket() {
        return folder.resolve("fn.sock");
    }

    Wire connect() throws IOException {
        return Wire.to(address);
    }

    /** The next line of the log with this in it. */
    String lineWith(String part) throws IOException {
        List<String> lines = linesUntil(part);
        return lines.get(lines.size() - 1);
    }

    /** The next lines of the log, up to one with this in it. */
    List<String> linesUntil(String part) throws IOException {
        List<String> lines = new ArrayList<>();
        for (String line = line(); line != null; line = line()) {
            lines.add(line);
            if (line.contains(part)) {
                return lines;
            }
        }
        throw new AssertionError("no line with `" + part + "` in " + lines);
    }

    /** Asks for the metrics until they have this line. */
    void awaitMetric(String wanted) throws IOException {
        try (Wire observer = connect()) {
            while (observer.get("/metrics").body().lines().noneMatch(wanted::equals)) {
                Thread.onSpinWait();
            }
        }
    }

    void signal(String name) throws IOException, InterruptedException {
        new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).inheritIO().start().waitFor();
    }

    /** Waits for the end: exit code, and what was of the log since the last look. */
    String end() throws IOException, InterruptedException {
        StringBuilder rest = new StringBuilder();
        for (String line = line(); line != null; line = line()) {
            rest.append(line).append('\n');
        }
        return process.waitFor() + "\n" + rest;
    }

    @Override
    public void close() throws IOException {
        process.destroyForcibly();
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                Files.deleteIfExists(file);
            }
        }
        Files.deleteIfExists(folder);
    }
}
