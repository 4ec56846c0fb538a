// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

/** Frames written and read by hand, so that a fault of the runtime's own is none of its tests. */
public final class Handmade {
    public static final int HELLO = 1;
    public static final int HEAD = 2;
    public static final int DATA = 3;
    public static final int WINDOW = 4;
    public static final int CANCEL = 5;
    public static final int DONE = 6;
    public static final int PING = 7;
    public static final int GOAWAY = 8;
    public static final int END = 1;
    public static final int ACK = 2;
    /** The trace of every request. */
    public static final String TRACE_ID = "0c".repeat(16);
    /** The span that began every request. */
    public static final String SPAN_ID = "0d".repeat(8);
    private static final int DEADLINE_MS = 30_000;

    private Handmade() {}

    public static byte[] frame(int kind, int sequence, int flags, byte... payload) {
        ByteBuf frame = Unpooled.buffer().writeIntLE(payload.length).writeIntLE(sequence).writeByte(kind)
            .writeByte(flags).writeShortLE(0).writeBytes(payload);
        return taken(frame);
    }

    static byte[] hello(int version, long windowBytes, long payloadBytesMax) {
        return frame(HELLO, 0, 0, taken(Unpooled.buffer().writeShortLE(version).writeShortLE(0).writeIntLE(0)
            .writeIntLE((int) windowBytes).writeIntLE((int) payloadBytesMax)));
    }

    public static byte[] hello() {
        return hello(1, 65_536, 20_480);
    }

    /** The id of the execution of an attempt that was begun here. */
    public static String executionId(int sequence) {
        return HexFormat.of().toHexDigits((byte) sequence).repeat(20);
    }

    /** A HEAD whose fields and body are those bytes, of which the first are said to be fields. */
    public static byte[] invocation(int sequence, int flags, int attempt, int deadlineMs, long bodyBytes,
            int fieldsBytes, byte... rest) {
        ByteBuf payload = Unpooled.buffer();
        for (String id : List.of(executionId(sequence), TRACE_ID, SPAN_ID)) {
            payload.writeBytes(HexFormat.of().parseHex(id));
        }
        payload.writeByte(1).writeByte(0).writeShortLE(attempt).writeIntLE(deadlineMs).writeLongLE(bodyBytes)
            .writeIntLE(fieldsBytes).writeBytes(rest);
        return frame(HEAD, sequence, flags, taken(payload));
    }

    /** The same of a first attempt with time enough. */
    static byte[] request(int sequence, int flags, long bodyBytes, int fieldsBytes, byte... rest) {
        return invocation(sequence, flags, 1, DEADLINE_MS, bodyBytes, fieldsBytes, rest);
    }

    /** A field of a HEAD. */
    public static byte[] field(int number, String value) {
        byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
        return taken(Unpooled.buffer().writeByte(number).writeShortLE(bytes.length).writeBytes(bytes));
    }

    /** A HEAD with a whole body of two bytes. */
    static byte[] small(int sequence) {
        return request(sequence, END, 2, 0, (byte) '{', (byte) '}');
    }

    public static byte[] window(int sequence, long bytes) {
        return frame(WINDOW, sequence, 0, taken(Unpooled.buffer().writeIntLE((int) bytes)));
    }

    public static byte[] concat(byte[]... parts) {
        return taken(Unpooled.wrappedBuffer(parts));
    }

    /** Each frame as {@code KIND sequence flags bytes}, with the payload of at most 24 bytes in hexadecimal. */
    static List<String> shown(byte[] bytes) {
        List<String> frames = new ArrayList<>();
        ByteBuf rest = Unpooled.wrappedBuffer(bytes);
        while (rest.isReadable()) {
            int length = rest.readIntLE();
            int sequence = rest.readIntLE();
            int kind = rest.readByte();
            int flags = rest.readByte();
            rest.skipBytes(2);
            byte[] payload = new byte[length];
            rest.readBytes(payload);
            frames.add(Kind.of(kind) + " " + sequence + " " + flags + " " + (length > 24 ? length + " bytes"
                : HexFormat.of().formatHex(payload)));
        }
        return frames;
    }

    static byte[] taken(ByteBuf buffer) {
        byte[] bytes = new byte[buffer.readableBytes()];
        buffer.readBytes(bytes);
        buffer.release();
        return bytes;
    }
}
