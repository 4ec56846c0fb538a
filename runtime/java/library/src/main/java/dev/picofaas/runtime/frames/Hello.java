// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

import io.netty.buffer.ByteBuf;

/**
 * The first frame of each end: its limits. How many attempts a gateway takes is not looked at, as it takes none.
 *
 * @param windowBytes of DATA that the sender takes at first, for each attempt
 * @param payloadBytesMax the longest payload that the sender takes
 */
record Hello(long windowBytes, int payloadBytesMax) {
    /** The newest version that is spoken here; both ends use the smaller of theirs. */
    static final int VERSION = 1;
    /** Bytes of its payload; a later version may have more. */
    static final int BYTES = 16;

    static Hello read(ByteBuf input, int bytes) throws Breach {
        if (bytes < BYTES) {
            throw new Breach(CloseReason.MALFORMED);
        }
        int version = input.readUnsignedShortLE();
        input.skipBytes(Short.BYTES + Integer.BYTES);
        long windowBytes = input.readUnsignedIntLE();
        long payloadBytesMax = input.readUnsignedIntLE();
        if (version == 0 || windowBytes < Frame.DATA_BYTES_MAX || payloadBytesMax < Frame.PAYLOAD_BYTES_LEAST) {
            throw new Breach(CloseReason.BAD_HELLO);
        }
        return new Hello(windowBytes, (int) Math.min(payloadBytesMax, Frame.PAYLOAD_BYTES_MAX));
    }

    /** Writes the payload of this end's. */
    static void write(ByteBuf output, int attemptsMax) {
        output.writeShortLE(VERSION).writeShortLE(0).writeIntLE(attemptsMax).writeIntLE(Slot.WINDOW_BYTES)
            .writeIntLE(Frame.PAYLOAD_BYTES_MAX);
    }
}
