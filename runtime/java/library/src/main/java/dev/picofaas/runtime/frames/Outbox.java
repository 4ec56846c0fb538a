// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import java.nio.charset.StandardCharsets;

/**
 * Frames in the order in which they are written: a batch that is being written, and those that wait to be the next.
 * Its two buffers are emptied and not shrunk, so that after a while it allocates no more.
 */
final class Outbox {
    private static final int BYTES_AT_FIRST = 4096;
    private static final int TEXT_BYTES_MAX = 256;

    private ByteBuf waiting;
    private ByteBuf writing;
    private boolean isWriting;
    /** Attempts whose end is among the frames. */
    private int endsWaiting;
    private int endsWriting;

    Outbox(ByteBufAllocator allocator) {
        waiting = allocator.ioBuffer(BYTES_AT_FIRST);
        writing = allocator.ioBuffer(BYTES_AT_FIRST);
    }

    /** Begins a frame whose payload of so many bytes is written next. */
    ByteBuf begin(Kind kind, int sequence, int flags, int payloadBytes) {
        return waiting.writeIntLE(payloadBytes).writeIntLE(sequence).writeByte(kind.number()).writeByte(flags)
            .writeShortLE(0);
    }

    /** A GOAWAY, with a text that is cut if it is too long. */
    void goAway(int last, int code, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
        int length = Math.min(bytes.length, TEXT_BYTES_MAX);
        begin(Kind.GOAWAY, last, 0, Short.BYTES + length).writeShortLE(code).writeBytes(bytes, 0, length);
    }

    /** The frame that was queued last is the end of an attempt. */
    void ended() {
        endsWaiting++;
    }

    /** Attempts that the gateway counts as out, as it cannot have read their ends yet. */
    int ends() {
        return endsWaiting + endsWriting;
    }

    /** Bytes that are not known to be written. */
    int bytes() {
        return waiting.readableBytes() + (isWriting ? writing.readableBytes() : 0);
    }

    boolean hasWaiting() {
        return waiting.isReadable();
    }

    boolean isWriting() {
        return isWriting;
    }

    /** All that waits, to be written now. It may be read until {@link #written}. */
    ByteBuf take() {
        ByteBuf batch = waiting;
        waiting = writing;
        writing = batch;
        endsWriting = endsWaiting;
        endsWaiting = 0;
        isWriting = true;
        return batch;
    }

    /** The batch was written whole. */
    void written() {
        writing.clear();
        endsWriting = 0;
        isWriting = false;
    }

    /** Drops what waits. */
    void drop() {
        waiting.clear();
        endsWaiting = 0;
    }

    void release() {
        waiting.release();
        writing.release();
    }
}
