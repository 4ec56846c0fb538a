// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * Runs a function once in each mode and announces an instance, so that a JVM with {@code -XX:ArchiveClassesAtExit} writes down the classes that
 * takes. The first argument is the body of an invocation that succeeds; HANDLER chooses as always.
 */
public final class Rehearsal {
    private Rehearsal() {}

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 1) {
            throw new IllegalArgumentException("give the body of one invocation, as {\"input\": …}");
        }
        byte[] body = arguments[0].getBytes(StandardCharsets.UTF_8);
        warm(body);
        job(body);
        announcement();
        System.exit(0);
    }

    private static void warm(byte[] body) throws Exception {
        Path folder = Files.createTempDirectory("picofaas-rehearsal");
        Path socket = folder.resolve("fn.sock");
        try {
            Main.quietNetty();
            Settings settings = Settings.read(environment(Map.of("PICOFAAS_SOCKET", socket.toString())));
            Server server = new Server(Main.program(settings), settings.bodyBytesMax());
            server.listen(settings, new ProcessAge());
            require(ask(socket, "GET /health HTTP/1.1\r\nhost: fn\r\nconnection: close\r\n\r\n", new byte[0]));
            require(ask(socket, "POST /invoke HTTP/1.1\r\nhost: fn\r\nconnection: close\r\nx-execution-id: rehearsal\r\n"
                + "x-trace-id: rehearsal\r\nx-attempt: 1\r\nx-deadline-ms: 60000\r\ncontent-length: " + body.length
                + "\r\n\r\n", body));
            server.stop();
            server.await();
        } finally {
            Files.deleteIfExists(socket);
            Files.delete(folder);
        }
    }

    private static void job(byte[] body) throws Exception {
        try (ServerSocket controlPlane = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            Thread thread = new Thread(() -> handOut(controlPlane, body), "control plane");
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
            new Announcement(access, "rehearsal", "127.0.0.1").start(1);
            try (Socket caller = controlPlane.accept()) {
                byte[] request = new byte[4096];
                caller.getInputStream().read(request);
                caller.getOutputStream().write("HTTP/1.1 204 No Content\r\n\r\n".getBytes(StandardCharsets.UTF_8));
                // Until it has read that and closed.
                while (caller.getInputStream().read(request) >= 0) {
                    continue;
                }
            }
        }
    }

    /** The input for whatever is asked first, and thanks for what comes then. */
    private static void handOut(ServerSocket controlPlane, byte[] body) {
        try (Socket caller = controlPlane.accept()) {
            byte[] request = new byte[65_536];
            caller.getInputStream().read(request);
            String head = "HTTP/1.1 200 OK\r\nX-Execution-Id: rehearsal\r\nX-Deadline-Ms: 60000\r\nContent-Length: "
                + body.length + "\r\n\r\n";
            caller.getOutputStream().write(head.getBytes(StandardCharsets.UTF_8));
            caller.getOutputStream().write(body);
            caller.getInputStream().read(request);
            caller.getOutputStream().write("HTTP/1.1 204 No Content\r\n\r\n".getBytes(StandardCharsets.UTF_8));
            caller.shutdownOutput();
        } catch (IOException error) {
            Log.line("error the rehearsal of a JOB was cut short: " + error);
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

    private static void require(String answer) {
        if (!answer.startsWith("HTTP/1.1 200 ")) {
            throw new IllegalStateException("the rehearsal was answered: " + answer);
        }
    }
}
