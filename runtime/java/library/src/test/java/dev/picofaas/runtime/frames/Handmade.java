// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Frames written and read by hand, so that a fault of the runtime's own is none of its tests. */
final class Handmade {
    static final int HELLO = 1;
    static final int HEAD = 2;
    static final int DATA = 3;
    static final int WINDOW = 4;
    static final int CANCEL = 5;
    static final int DONE = 6;
    static final int PING = 7;
    static final int GOAWAY = 8;

    private Handmade() {}

    static byte[] frame(int kind, int sequence, int flags, byte... payload) {
        ByteBuf frame = Unpooled.buffer().writeIntLE(payload.length).writeIntLE(sequence).writeByte(kind)
            .writeByte(flags).writeShortLE(0).writeBytes(payload);
        return taken(frame);
    }

    static byte[] hello(int version, long windowBytes, long payloadBytesMax) {
        return frame(HELLO, 0, 0, taken(Unpooled.buffer().writeShortLE(version).writeShortLE(0).writeIntLE(0)
            .writeIntLE((int) windowBytes).writeIntLE((int) payloadBytesMax)));
    }

    static byte[] hello() {
        return hello(1, 65_536, 20_480);
    }

    /** A HEAD whose fields and body are those bytes, of which the first are said to be fields. */
    static byte[] request(int sequence, int flags, long bodyBytes, int fieldsBytes, byte... rest) {
        byte[] ids = new byte[44];
        Arrays.fill(ids, (byte) 7);
        ByteBuf payload = Unpooled.buffer().writeBytes(ids).writeByte(1).writeByte(0).writeShortLE(1)
            .writeIntLE(30_000).writeLongLE(bodyBytes).writeIntLE(fieldsBytes).writeBytes(rest);
        return frame(HEAD, sequence, flags, taken(payload));
    }

    /** A HEAD with a whole body of two bytes. */
    static byte[] small(int sequence) {
        return request(sequence, 1, 2, 0, (byte) '{', (byte) '}');
    }

    static byte[] window(int sequence, long bytes) {
        return frame(WINDOW, sequence, 0, taken(Unpooled.buffer().writeIntLE((int) bytes)));
    }

    static byte[] concat(byte[]... parts) {
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
                : io.netty.buffer.ByteBufUtil.hexDump(payload)));
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
