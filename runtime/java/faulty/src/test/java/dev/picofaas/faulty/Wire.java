// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.SocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** HTTP byte by byte, of either side. */
final class Wire implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final SocketChannel channel;
    private final ByteBuffer read = ByteBuffer.allocate(65_536).flip();

    /** A request or an answer that came. */
    record Message(String line, Map<String, String> headers, String body) {
        int status() {
            return Integer.parseInt(line.split(" ")[1]);
        }

        JsonNode json() throws IOException {
            return JSON.readTree(body);
        }

        /** Status and code of an error. */
        String failure() throws IOException {
            return status() + " " + json().at("/error/code").asText();
        }

        String message() throws IOException {
            return json().at("/error/message").asText();
        }
    }

    Wire(SocketChannel channel) {
        this.channel = channel;
    }

    static Wire to(SocketAddress address) throws IOException {
        return new Wire(SocketChannel.open(address));
    }

    static String invocation(String headers, String body) {
        return "POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e-1\r\n" + headers + "content-length: "
            + body.getBytes(StandardCharsets.UTF_8).length + "\r\n\r\n" + body;
    }

    Message invoke(String headers, String body) throws IOException {
        send(invocation(headers, body));
        return receive();
    }

    Message get(String path) throws IOException {
        send("GET " + path + " HTTP/1.1\r\nhost: fn\r\n\r\n");
        return receive();
    }

    void send(String text) throws IOException {
        send(text.getBytes(StandardCharsets.UTF_8));
    }

    void send(byte[] bytes) throws IOException {
        ByteBuffer rest = ByteBuffer.wrap(bytes);
        while (rest.hasRemaining()) {
            channel.write(rest);
        }
    }

    Message receive() throws IOException {
        String line = line();
        Map<String, String> headers = new HashMap<>();
        for (String header = line(); !header.isEmpty(); header = line()) {
            int colon = header.indexOf(':');
            headers.put(header.substring(0, colon).toLowerCase(Locale.ROOT), header.substring(colon + 1).strip());
        }
        byte[] body = receive(Integer.parseInt(headers.getOrDefault("content-length", "0")));
        return new Message(line, headers, new String(body, StandardCharsets.UTF_8));
    }

    /** So many bytes. */
    byte[] receive(int count) throws IOException {
        byte[] bytes = new byte[count];
        for (int at = 0; at < count; at++) {
            bytes[at] = (byte) next();
        }
        return bytes;
    }

    /** Whether the other side has closed and said nothing more. */
    boolean isClosed() throws IOException {
        try {
            return next() < 0;
        } catch (EOFException closed) {
            return true;
        } catch (java.net.SocketException reset) {
            return true;
        } catch (IOException reset) {
            return String.valueOf(reset.getMessage()).contains("reset");
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }

    /** The next line, of a head or of a body in chunks, without its end. */
    String readLine() throws IOException {
        return line();
    }

    private String line() throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int next = next(); next != '\n'; next = next()) {
            line.write(next);
        }
        return line.toString(StandardCharsets.ISO_8859_1).strip();
    }

    private int next() throws IOException {
        if (!read.hasRemaining()) {
            read.clear();
            int count = channel.read(read);
            read.flip();
            if (count < 0) {
                throw new EOFException("closed");
            }
        }
        return read.get() & 0xff;
    }
}
