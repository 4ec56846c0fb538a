// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * An HTTP/1.1 connection to the control plane, written by hand: a JOB makes two requests in its life, an instance one,
 * and a client takes longer to load than they do.
 */
final class Connection {
    private final Socket socket;
    private final InputStream input;
    private long limitNs;

    private Connection(Socket socket) throws IOException {
        this.socket = socket;
        this.input = new BufferedInputStream(socket.getInputStream());
    }

    static Connection open(Access access) throws IOException {
        Socket socket = new Socket();
        try {
            socket.connect(new InetSocketAddress(access.host(), access.port()), Limits.CONNECT_MS_MAX);
            // Requests are written whole, so waiting to fill a segment only adds latency.
            socket.setTcpNoDelay(true);
            return new Connection(socket);
        } catch (IOException | RuntimeException error) {
            socket.close();
            throw error;
        }
    }

    void close() {
        try {
            socket.close();
        } catch (IOException error) {
            // It is given up either way.
        }
    }

    void send(String head, byte[] body) throws IOException {
        byte[] request = head.getBytes(StandardCharsets.UTF_8);
        int begin = request.length;
        request = Arrays.copyOf(request, begin + body.length);
        System.arraycopy(body, 0, request, begin, body.length);
        socket.getOutputStream().write(request);
    }

    /** Reads an answer, whose body may have {@code bodyBytesMax} bytes, until {@code limitNs}. */
    Answer receive(int bodyBytesMax, long limitNs) throws IOException {
        this.limitNs = limitNs;
        String[] statusLine;
        Map<String, List<String>> headers;
        int status;
        do {
            // An interim answer is followed by the real one.
            statusLine = line(Limits.ANSWER_HEAD_BYTES_MAX).split(" ", 3);
            if (statusLine.length < 2 || !statusLine[0].matches("HTTP/1\\.[01]")
                    || !statusLine[1].matches("[1-9][0-9]{2}")) {
                throw malformed("a head that is not HTTP");
            }
            status = Integer.parseInt(statusLine[1]);
            headers = headers();
            if (status == 101) {
                throw malformed("a change of the protocol that was not asked for");
            }
        } while (status < 200);
        long arrivedNs = System.nanoTime();
        boolean persistent = statusLine[0].equals("HTTP/1.1")
            && !"close".equalsIgnoreCase(first(headers, "connection"));
        String encoding = first(headers, "transfer-encoding");
        String lengthText = first(headers, "content-length");
        byte[] body;
        if (status == 204 || status == 304) {
            body = new byte[0];
        } else if (encoding != null) {
            if (!encoding.equalsIgnoreCase("chunked")) {
                throw malformed("an unknown Transfer-Encoding");
            }
            body = chunked(bodyBytesMax);
        } else if (lengthText != null) {
            if (!lengthText.matches("[0-9]{1,18}")) {
                throw malformed("an unclear Content-Length");
            }
            long length = Long.parseLong(lengthText);
            body = length > bodyBytesMax ? null : bytes((int) length);
        } else {
            persistent = false;
            body = untilClose(bodyBytesMax);
        }
        return new Answer(status, headers, body, arrivedNs, persistent && body != null);
    }

    private Map<String, List<String>> headers() throws IOException {
        Map<String, List<String>> headers = new HashMap<>();
        int left = Limits.ANSWER_HEAD_BYTES_MAX;
        for (int count = 0;; count++) {
            String line = line(left);
            if (line.isEmpty()) {
                return headers;
            }
            left -= line.length();
            int colon = line.indexOf(':');
            if (colon < 1 || count == Limits.ANSWER_HEADERS_MAX) {
                throw malformed(colon < 1 ? "a bad header" : "too many headers");
            }
            String name = line.substring(0, colon).toLowerCase(Locale.ROOT);
            String value = line.substring(colon + 1).strip();
            List<String> values = headers.computeIfAbsent(name, absent -> new ArrayList<>(1));
            values.add(value);
            if (name.equals("content-length") && !value.equals(values.get(0))) {
                throw malformed("an unclear Content-Length");
            }
        }
    }

    private static String first(Map<String, List<String>> headers, String name) {
        List<String> values = headers.get(name);
        return values == null ? null : values.get(0);
    }

    private byte[] chunked(int max) throws IOException {
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        while (true) {
            String text = line(Limits.ANSWER_HEAD_BYTES_MAX).split(";", 2)[0].strip();
            if (!text.matches("[0-9A-Fa-f]{1,15}")) {
                throw malformed("a chunk without a size");
            }
            long size = Long.parseLong(text, 16);
            if (size == 0) {
                // Trailers, which end as a head does.
                headers();
                return body.toByteArray();
            }
            if (size > max - body.size()) {
                return null;
            }
            body.writeBytes(bytes((int) size));
            if (!Arrays.equals(bytes(2), new byte[] {'\r', '\n'})) {
                throw malformed("a chunk that is longer than its size");
            }
        }
    }

    private byte[] untilClose(int max) throws IOException {
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        byte[] piece = new byte[8192];
        while (true) {
            hurry();
            int count = input.read(piece);
            if (count < 0) {
                return body.toByteArray();
            }
            if (count > max - body.size()) {
                return null;
            }
            body.write(piece, 0, count);
        }
    }

    private byte[] bytes(int length) throws IOException {
        byte[] bytes = new byte[length];
        int read = 0;
        while (read < length) {
            hurry();
            int count = input.read(bytes, read, length - read);
            if (count < 0) {
                throw new EOFException("it ended early");
            }
            read += count;
        }
        return bytes;
    }

    /** A line without its end, of at most {@code max} bytes. */
    private String line(int max) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        while (true) {
            hurry();
            int next = input.read();
            if (next < 0) {
                throw new EOFException("it ended early");
            }
            if (next == '\n') {
                String text = line.toString(StandardCharsets.ISO_8859_1);
                return text.endsWith("\r") ? text.substring(0, text.length() - 1) : text;
            }
            if (line.size() >= max) {
                throw malformed("a head that is too long");
            }
            line.write(next);
        }
    }

    /** Lets the next read take what time is left. */
    private void hurry() throws IOException {
        if (input.available() > 0) {
            return;
        }
        long leftMs = (limitNs - System.nanoTime()) / 1_000_000;
        if (leftMs <= 0) {
            throw new SocketTimeoutException();
        }
        socket.setSoTimeout((int) leftMs);
    }

    private static IOException malformed(String what) {
        return new IOException("the answer has " + what);
    }
}
