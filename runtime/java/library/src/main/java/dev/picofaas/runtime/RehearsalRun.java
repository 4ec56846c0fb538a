// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.picofaas.runtime.frames.InstanceEnd;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Runs a function once in each mode and announces an instance, so that its JVM, which {@link Rehearsal} started with
 * {@code -XX:ArchiveClassesAtExit}, writes down the classes that takes. What it writes says how it went.
 */
final class RehearsalRun {
    private static final byte[] TAKEN = "HTTP/1.1 204 No Content\r\n\r\n".getBytes(StandardCharsets.UTF_8);
    private static final Pattern CONTENT_LENGTH = Pattern.compile("(?i)\r\ncontent-length: *([0-9]{1,18})\r\n");
    /** The first line: this JVM runs the runtime. */
    static final String BEGUN = "the rehearsal begins";
    /** The last line where all of it succeeded. */
    static final String SUCCEEDED = "the rehearsal succeeded";
    /** The last line begins with this where the rehearsal failed. */
    static final String FAILED = "the rehearsal failed: ";

    private final byte[] body;
    private final long deadlineMs;

    private RehearsalRun(String body, long deadlineMs) {
        this.body = body.getBytes(StandardCharsets.UTF_8);
        this.deadlineMs = deadlineMs;
    }

    /** Takes the body of an invocation that succeeds, and how long the handler may take, in milliseconds. */
    public static void main(String[] arguments) {
        Lines.install();
        Log.line(BEGUN);
        try {
            RehearsalRun run = new RehearsalRun(arguments[0], Long.parseLong(arguments[1]));
            run.warm();
            run.job();
            announcement();
        } catch (Throwable thrown) {
            // Below, the line break is for a line of the function that has none.
            boolean told = thrown instanceof StartException || thrown instanceof IllegalStateException;
            Log.line("\n" + FAILED + (told ? thrown.getMessage() : thrown.toString()).replaceAll("\\s*\\R\\s*", " "));
            // Without whatever the function wants to do at its end.
            Runtime.getRuntime().halt(1);
        }
        Log.line("\n" + SUCCEEDED);
        System.exit(0);
    }

    private void warm() throws Exception {
        Path folder = Files.createTempDirectory("picofaas-rehearsal");
        Path socket = folder.resolve("fn.sock");
        try {
            Main.quietNetty();
            Settings settings = Settings.read(environment(Map.of("PICOFAAS_SOCKET", socket.toString())));
            Server server = new Server(Main.program(settings), settings.bodyBytesMax(), new Standby(false),
                new ProcessAge());
            server.listen(settings);
            require("GET /health",
                ask(socket, "GET /health HTTP/1.1\r\nhost: fn\r\nconnection: close\r\n\r\n", new byte[0]));
            String head = "POST /invoke HTTP/1.1\r\nhost: fn\r\nconnection: close\r\nx-execution-id: rehearsal\r\n"
                + "x-trace-id: rehearsal\r\nx-attempt: 1\r\nx-deadline-ms: " + deadlineMs + "\r\ncontent-length: "
                + body.length + "\r\n\r\n";
            require(Text.shortened(new String(body, StandardCharsets.UTF_8)), ask(socket, head, body));
            cancelOverFrames(socket);
            server.stop();
            server.await();
        } finally {
            Files.deleteIfExists(socket);
            Files.delete(folder);
        }
    }

    /** Has frames spoken, and an attempt begun and cancelled before its body: so the handler does not run again. */
    private static void cancelOverFrames(Path socket) throws IOException {
        byte[] upgrade = ("GET /invoke HTTP/1.1\r\nhost: fn\r\nconnection: upgrade\r\nupgrade: " + InstanceEnd.PROTOCOL
            + "\r\n\r\n").getBytes(StandardCharsets.UTF_8);
        ByteBuffer hello = frame(1, 0, 16).putInt(1).putInt(0).putInt(65_536).putInt(20_480).flip();
        ByteBuffer head = frame(2, 1, 64).putShort(58, (short) 1).putInt(60, 60_000).putLong(64, 1);
        ByteBuffer cancel = frame(5, 1, 1).put((byte) 2).flip();
        byte[] done = frame(6, 1, 1).put((byte) 1).array();
        try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            channel.connect(UnixDomainSocketAddress.of(socket));
            for (ByteBuffer part : List.of(ByteBuffer.wrap(upgrade), hello, head.rewind(), cancel)) {
                while (part.hasRemaining()) {
                    channel.write(part);
                }
            }
            ByteBuffer answer = ByteBuffer.allocate(1024);
            do {
                if (channel.read(answer) < 0) {
                    throw new EOFException("a connection that speaks frames ended early");
                }
            } while (answer.position() < done.length || !Arrays.equals(done, 0, done.length, answer.array(),
                answer.position() - done.length, answer.position()));
        }
    }

    /** A frame without flags, up to its payload. */
    private static ByteBuffer frame(int kind, int sequence, int payloadBytes) {
        return ByteBuffer.allocate(12 + payloadBytes).order(ByteOrder.LITTLE_ENDIAN).putInt(payloadBytes)
            .putInt(sequence).putInt(kind);
    }

    private void job() throws Exception {
        try (ServerSocket controlPlane = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            Thread thread = new Thread(() -> handOut(controlPlane), "control plane");
            thread.setDaemon(true);
            thread.start();
            Settings settings = Settings.read(environment(Map.of("EXECUTION_MODE", "JOB", "EXECUTION_ID", "rehearsal",
                "PICOFAAS_TOKEN", "rehearsal",
                "PICOFAAS_RUNTIME_URL", "http://127.0.0.1:" + controlPlane.getLocalPort())));
            int code = new Job(settings, new ProcessAge()).run();
            if (code != 0) {
                throw new IllegalStateException("as a JOB it ends with " + code);
            }
        }
    }

    private static void announcement() throws Exception {
        try (ServerSocket controlPlane = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            Access access = Access.read("http://127.0.0.1:" + controlPlane.getLocalPort(), "rehearsal");
            new Announcement(access, "rehearsal", "127.0.0.1").start(1, new ProcessAge());
            try (Socket caller = controlPlane.accept()) {
                InputStream requests = caller.getInputStream();
                skipRequest(requests);
                caller.getOutputStream().write(TAKEN);
                // Until it has read that and closed.
                while (requests.read() >= 0) {
                    continue;
                }
            }
        }
    }

    /** The input for whatever is asked first, and thanks for what comes then. */
    private void handOut(ServerSocket controlPlane) {
        try (Socket caller = controlPlane.accept()) {
            InputStream requests = new BufferedInputStream(caller.getInputStream());
            skipRequest(requests);
            String head = "HTTP/1.1 200 OK\r\nX-Execution-Id: rehearsal\r\nX-Deadline-Ms: " + deadlineMs
                + "\r\nContent-Length: " + body.length + "\r\n\r\n";
            caller.getOutputStream().write(head.getBytes(StandardCharsets.UTF_8));
            caller.getOutputStream().write(body);
            skipRequest(requests);
            caller.getOutputStream().write(TAKEN);
            caller.shutdownOutput();
        } catch (IOException error) {
            Log.line("error the rehearsal of a JOB was cut short: " + error);
        }
    }

    /** Reads a request whole: closing before the end of an output would take the answer back. */
    private static void skipRequest(InputStream requests) throws IOException {
        ByteArrayOutputStream head = new ByteArrayOutputStream();
        String text = "";
        while (!text.endsWith("\r\n\r\n")) {
            int next = requests.read();
            if (next < 0) {
                throw new EOFException("a request of the runtime ended early");
            }
            head.write(next);
            text = next == '\n' ? head.toString(StandardCharsets.ISO_8859_1) : "";
        }
        Matcher length = CONTENT_LENGTH.matcher(text);
        if (length.find()) {
            requests.skipNBytes(Long.parseLong(length.group(1)));
        }
    }

    private static Map<String, String> environment(Map<String, String> more) {
        Map<String, String> environment = new HashMap<>(more);
        if (System.getenv("HANDLER") != null) {
            environment.put("HANDLER", System.getenv("HANDLER"));
        }
        return environment;
    }

    private static String ask(Path socket, String head, byte[] body) throws IOException {
        try (SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            channel.connect(UnixDomainSocketAddress.of(socket));
            for (byte[] part : new byte[][] {head.getBytes(StandardCharsets.UTF_8), body}) {
                ByteBuffer rest = ByteBuffer.wrap(part);
                while (rest.hasRemaining()) {
                    channel.write(rest);
                }
            }
            StringBuilder answer = new StringBuilder();
            ByteBuffer piece = ByteBuffer.allocate(8192);
            while (channel.read(piece) >= 0) {
                answer.append(new String(piece.array(), 0, piece.position(), StandardCharsets.UTF_8));
                piece.clear();
            }
            return answer.toString();
        }
    }

    private static void require(String asked, String answer) {
        if (answer.startsWith("HTTP/1.1 200 ")) {
            return;
        }
        String[] parts = answer.split("\r\n\r\n", 2);
        String said = parts[0].lines().findFirst().orElse("nothing").replace("HTTP/1.1 ", "");
        try {
            JsonNode error = new ObjectMapper().readTree(parts[parts.length - 1]).path("error");
            said = parts[0].split(" ")[1] + " " + error.get("code").asText() + ": " + error.get("message").asText();
        } catch (IOException | RuntimeException other) {
            // It is not an error of the runtime, and its first line says what there is to say.
        }
        throw new IllegalStateException(asked + " was answered " + said);
    }
}
