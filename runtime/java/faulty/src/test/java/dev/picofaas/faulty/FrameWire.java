// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static dev.picofaas.runtime.frames.Handmade.ACK;
import static dev.picofaas.runtime.frames.Handmade.CANCEL;
import static dev.picofaas.runtime.frames.Handmade.DATA;
import static dev.picofaas.runtime.frames.Handmade.END;
import static dev.picofaas.runtime.frames.Handmade.GOAWAY;
import static dev.picofaas.runtime.frames.Handmade.HEAD;
import static dev.picofaas.runtime.frames.Handmade.HELLO;
import static dev.picofaas.runtime.frames.Handmade.PING;
import static dev.picofaas.runtime.frames.Handmade.WINDOW;
import static dev.picofaas.runtime.frames.Handmade.frame;
import static dev.picofaas.runtime.frames.Handmade.hello;
import static dev.picofaas.runtime.frames.Handmade.window;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.picofaas.runtime.frames.Handmade;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * The gateway's end of a connection that speaks frames, byte by byte. A thread of its own reads, gives signs of life and
 * widens windows, so that a busy machine that has a test wait costs it no connection.
 */
final class FrameWire implements AutoCloseable {
    static final String UPGRADE = "GET /invoke HTTP/1.1\r\nHost: instance\r\nConnection: Upgrade\r\n"
        + "Upgrade: picofaas-frames/1\r\n\r\n";
    /** The window of both ends. */
    private static final int WINDOW_BYTES = 65_536;
    private static final int DATA_BYTES_MAX = 16_384;
    private static final int DEADLINE_MS = 60_000;
    /** The end of the connection, known by identity. */
    private static final Frame CLOSED = new Frame(0, 0, 0, new byte[0]);

    record Frame(int kind, int sequence, int flags, byte[] payload) {
        ByteBuffer values() {
            return ByteBuffer.wrap(payload).order(ByteOrder.LITTLE_ENDIAN);
        }
    }

    /** The answer of an attempt, put together. */
    record Answer(int sequence, int status, Integer startMs, int pieces, String body) {
        /** Status and code of an error. */
        String failure() throws IOException {
            return status + " " + new ObjectMapper().readTree(body).at("/error/code").asText();
        }
    }

    private final Wire wire;
    private final BlockingQueue<Frame> frames = new LinkedBlockingQueue<>();
    /** Heads of answers of which not all has come. */
    private final Map<Integer, Frame> begun = new HashMap<>();
    private final Map<Integer, ByteArrayOutputStream> bodies = new HashMap<>();
    private final Map<Integer, Integer> pieces = new HashMap<>();
    /** Answers that are whole and were not asked for yet. */
    private final Deque<Answer> answered = new ArrayDeque<>();
    private volatile boolean isSilent;

    private FrameWire(Wire wire) {
        this.wire = wire;
    }

    /** A connection on which both have said HELLO. */
    static FrameWire to(Instance instance) throws IOException {
        Wire wire = instance.connect();
        // Nobody has to wait for the 101 to greet.
        wire.send(UPGRADE);
        FrameWire frames = on(wire);
        frames.send(hello());
        Frame hello = frames.take();
        if (hello.kind() != HELLO) {
            throw new AssertionError("not HELLO first: " + hello);
        }
        return frames;
    }

    /** A connection on which the upgrade was asked for. */
    static FrameWire on(Wire wire) throws IOException {
        Wire.Message answer = wire.receive();
        if (answer.status() != 101 || !"picofaas-frames/1".equals(answer.headers().get("upgrade"))
                || !"Upgrade".equals(answer.headers().get("connection"))) {
            throw new AssertionError(answer.toString());
        }
        FrameWire frames = new FrameWire(wire);
        Thread reader = new Thread(frames::read, "frames");
        reader.setDaemon(true);
        reader.start();
        return frames;
    }

    private void read() {
        try {
            while (true) {
                ByteBuffer head = ByteBuffer.wrap(wire.receive(12)).order(ByteOrder.LITTLE_ENDIAN);
                Frame frame = new Frame(head.get(8), head.getInt(4), head.get(9), wire.receive(head.getInt(0)));
                if (!isSilent && frame.kind() == PING && frame.flags() == 0) {
                    send(frame(PING, 0, ACK, frame.payload()));
                } else {
                    if (frame.kind() == DATA && frame.payload().length > 0) {
                        send(window(frame.sequence(), frame.payload().length));
                    }
                    frames.add(frame);
                }
            }
        } catch (IOException closed) {
            frames.add(CLOSED);
        }
    }

    /** Gives no signs of life from now on. */
    void beSilent() {
        isSilent = true;
    }

    static byte[] request(int sequence, String body) {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        return Handmade.invocation(sequence, END, 1, DEADLINE_MS, bytes.length, 0, bytes);
    }

    void invoke(int sequence, String body) throws IOException {
        send(request(sequence, body));
    }

    /** Sends a body as DATA within its window, whatever its length. */
    void invokeInPieces(int sequence, String body) throws IOException {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        send(Handmade.invocation(sequence, 0, 1, DEADLINE_MS, bytes.length, 0));
        int window = WINDOW_BYTES;
        for (int at = 0; at < bytes.length;) {
            while (window == 0) {
                Frame frame = take();
                if (frame.kind() == WINDOW) {
                    window += frame.sequence() == sequence ? frame.values().getInt() : 0;
                } else {
                    gather(frame);
                }
            }
            int count = Math.min(Math.min(window, DATA_BYTES_MAX), bytes.length - at);
            window -= count;
            byte[] piece = Arrays.copyOfRange(bytes, at, at + count);
            at += count;
            send(frame(DATA, sequence, at == bytes.length ? END : 0, piece));
        }
    }

    void cancel(int sequence) throws IOException {
        send(frame(CANCEL, sequence, 0, (byte) 2));
    }

    /** Both the test and the reading thread send. */
    synchronized void send(byte[] bytes) throws IOException {
        wire.send(bytes);
    }

    /** The next frame. */
    Frame take() throws IOException {
        try {
            Frame frame = frames.take();
            if (frame == CLOSED) {
                frames.add(CLOSED);
                throw new IOException("closed");
            }
            return frame;
        } catch (InterruptedException late) {
            throw new InterruptedIOException();
        }
    }

    /** The next answer that is whole. */
    Answer answer() throws IOException {
        while (answered.isEmpty()) {
            Frame frame = take();
            if (frame.kind() != WINDOW) {
                gather(frame);
            }
        }
        return answered.remove();
    }

    /** Adds a frame to its answer, and that to those that are whole. */
    private void gather(Frame frame) {
        int sequence = frame.sequence();
        if (frame.kind() == HEAD) {
            begun.put(sequence, frame);
            bodies.put(sequence, new ByteArrayOutputStream());
            int bodyAt = 16 + frame.values().getInt(12);
            bodies.get(sequence).write(frame.payload(), bodyAt, frame.payload().length - bodyAt);
        } else if (frame.kind() == DATA) {
            if (frame.payload().length > DATA_BYTES_MAX) {
                throw new AssertionError(frame.payload().length + " bytes of DATA");
            }
            bodies.get(sequence).writeBytes(frame.payload());
            pieces.merge(sequence, 1, Integer::sum);
        } else {
            throw new AssertionError("not an answer: kind " + frame.kind() + " for " + sequence);
        }
        if ((frame.flags() & END) == 0) {
            return;
        }
        ByteBuffer head = begun.remove(sequence).values();
        byte[] body = bodies.remove(sequence).toByteArray();
        if (head.getLong(4) != body.length) {
            throw new AssertionError(head.getLong(4) + " bytes were said and " + body.length + " came");
        }
        Integer startMs = head.getInt(12) == 0 ? null : head.getInt(19);
        Integer count = pieces.remove(sequence);
        answered.add(new Answer(sequence, head.getShort(0), startMs, count == null ? 0 : count,
            new String(body, StandardCharsets.UTF_8)));
    }

    /** The GOAWAY that comes next, as {@code sequence code text}, after which nothing comes. */
    String lastWords() throws IOException {
        String words = goAway();
        if (!isClosed()) {
            throw new AssertionError("more came after: " + words);
        }
        return words;
    }

    String goAway() throws IOException {
        Frame frame = take();
        if (frame.kind() != GOAWAY) {
            throw new AssertionError("not GOAWAY: kind " + frame.kind() + " for " + frame.sequence());
        }
        return frame.sequence() + " " + frame.values().getShort() + " "
            + new String(frame.payload(), 2, frame.payload().length - 2, StandardCharsets.UTF_8);
    }

    /** Waits for the next event: whether it is the end of the connection. */
    boolean isClosed() throws IOException {
        try {
            Frame frame = frames.take();
            if (frame == CLOSED) {
                frames.add(CLOSED);
                return true;
            }
            return false;
        } catch (InterruptedException late) {
            throw new InterruptedIOException();
        }
    }

    @Override
    public void close() throws IOException {
        wire.close();
    }
}
