// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.channel.ChannelFuture;
import io.netty.handler.codec.http.DefaultHttpHeadersFactory;
import io.netty.handler.codec.http.HttpHeaders;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;

/**
 * The answer to a request from the web. Status and headers are sent with the first piece of the body: when it is
 * {@link OutputStream#flush flushed}, when it has more than 16 KiB, or when the handler returns. An answer that is
 * whole before that has its {@code Content-Length}; any other comes in chunks, unless the handler has set one.
 *
 * <p>A write waits while the caller does not read, and fails with an {@link IOException} when it has gone.
 */
public final class WebResponse {
    /** The one who has the connection. Both are called on the handler's thread. */
    interface Connection {
        /** Sends the head, and no body yet. */
        void begin(int status, HttpHeaders headers);

        ChannelFuture write(byte[] piece);
    }

    /** The one who may write the head: the handler, nobody any more, or the runtime. */
    private enum Phase { OPEN, SENT, TAKEN }

    private final Connection connection;
    /** Of an answer to HEAD, which has the headers of its body and not the body. */
    private final boolean isHead;
    private final AtomicReference<Phase> phase = new AtomicReference<>(Phase.OPEN);
    private final HttpHeaders headers = DefaultHttpHeadersFactory.headersFactory().newHeaders();
    private final ByteArrayOutputStream kept = new ByteArrayOutputStream(256);
    private final OutputStream body = new Body();
    private int status = 200;
    /** Bytes that may still be written, where the handler has said how many there are; else negative. */
    private long left = -1;
    private ChannelFuture written;

    WebResponse(Connection connection, boolean isHead) {
        this.connection = connection;
        this.isHead = isHead;
    }

    /**
     * Sets the status, which is 200 otherwise.
     *
     * @throws IllegalArgumentException where it is not in 200 … 599
     * @throws IllegalStateException where the head was sent
     */
    public WebResponse status(int status) {
        if (status < 200 || status > 599) {
            throw new IllegalArgumentException("the status of an answer is 200 … 599, not " + status);
        }
        checkOpen();
        this.status = status;
        return this;
    }

    /**
     * Sets a header, instead of those of this name that there are.
     *
     * @throws IllegalArgumentException where it is none
     * @throws IllegalStateException where the head was sent
     */
    public WebResponse header(String name, String value) {
        checkOpen();
        headers.set(name, value);
        return this;
    }

    /** Adds a header, as {@code Set-Cookie}; fails as {@link #header} does. */
    public WebResponse addHeader(String name, String value) {
        checkOpen();
        headers.add(name, value);
        return this;
    }

    /** The body, which ends when the handler returns; closing it does not end it. */
    public OutputStream body() {
        return body;
    }

    /** Writes a text in UTF-8 to the body. */
    public void write(String text) throws IOException {
        body.write(text.getBytes(StandardCharsets.UTF_8));
    }

    /** Whether status and headers are on their way. */
    public boolean isSent() {
        return phase.get() == Phase.SENT;
    }

    /** Takes the head from the handler, whose next write fails; false where it was sent. */
    boolean take() {
        return phase.compareAndSet(Phase.OPEN, Phase.TAKEN) || phase.get() == Phase.TAKEN;
    }

    /** The handler has returned. */
    void finish() throws IOException {
        if (isSent()) {
            body.flush();
        } else if (declared() >= 0) {
            left = declared() - kept.size();
            if (left < 0) {
                throw tooLong();
            }
        }
        if (left > 0) {
            throw new IOException("the body ended " + left + " bytes before its Content-Length");
        }
    }

    int status() {
        return status;
    }

    HttpHeaders headers() {
        return headers;
    }

    /** The body of an answer whose head was not sent. */
    byte[] whole() {
        return kept.toByteArray();
    }

    private void checkOpen() {
        if (phase.get() == Phase.SENT) {
            throw new IllegalStateException("status and headers were sent");
        }
    }

    /** The bytes that the body must have, as the handler has said, or -1. */
    private long declared() {
        if (isHead || status == 204 || status == 304) {
            return -1;
        }
        String length = headers.get("content-length");
        return length == null || !length.matches("[0-9]{1,18}") ? -1 : Long.parseLong(length);
    }

    private static IOException tooLong() {
        return new IOException("the body is longer than its Content-Length");
    }

    private void send() throws IOException {
        if (phase.compareAndSet(Phase.OPEN, Phase.SENT)) {
            left = declared();
            connection.begin(status, headers);
        } else if (!isSent()) {
            throw new IOException("nobody reads the answer any more");
        }
    }

    private void sendPiece(byte[] piece) throws IOException {
        if (left >= 0 && piece.length > left) {
            throw tooLong();
        }
        left -= left < 0 ? 0 : piece.length;
        try {
            if (written != null && !written.await().isSuccess()) {
                throw new IOException("nobody reads the answer any more", written.cause());
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("the request is over");
        }
        written = connection.write(piece);
    }

    private final class Body extends OutputStream {
        @Override
        public void write(int one) throws IOException {
            write(new byte[] {(byte) one}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int from, int count) throws IOException {
            Objects.checkFromIndexSize(from, count, bytes.length);
            if (phase.get() == Phase.TAKEN) {
                throw new IOException("nobody reads the answer any more");
            }
            if (kept.size() + count <= Limits.WEB_ANSWER_KEPT_BYTES) {
                kept.write(bytes, from, count);
                return;
            }
            flush();
            for (int at = from; at < from + count; at += Limits.WEB_PIECE_BYTES) {
                sendPiece(Arrays.copyOfRange(bytes, at, Math.min(from + count, at + Limits.WEB_PIECE_BYTES)));
            }
        }

        @Override
        public void flush() throws IOException {
            send();
            if (kept.size() > 0) {
                byte[] piece = kept.toByteArray();
                kept.reset();
                sendPiece(piece);
            }
        }

        @Override
        public void close() throws IOException {
            // An answer that is whole when the handler returns is sent in one piece.
            if (isSent()) {
                flush();
            }
        }
    }
}
