// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

import io.netty.buffer.ByteBuf;

/**
 * An attempt that is out: its state, and its two bodies with their windows.
 *
 * @param <T> of what its receiver keeps of it
 */
public final class Slot<T> {
    enum State { RUNNING, ANSWERING, OVER }

    /** Bytes of DATA that are taken before some were consumed. */
    static final int WINDOW_BYTES = 65_536;
    private static final long WINDOW_MAX = 0xffff_ffffL;

    final int sequence;
    /** The receiver's; null until it sets it. */
    public T owner;
    State state = State.RUNNING;
    /** It is among those that have something to send. */
    boolean isInLine;

    /** Bytes of DATA that the gateway takes. */
    private long window;
    private byte[] rest;
    private int restAt;
    private int restEnd;

    /** DATA may come: after a HEAD without the end, and before the end. */
    private boolean isOpen;
    /** Bytes of the request that are still to come, without a sign. */
    private long missing;
    /** Bytes that the gateway may send. */
    private int allowed = WINDOW_BYTES;
    /** Bytes that were consumed and that the gateway was not allowed again. */
    private int owed;

    Slot(int sequence, long window) {
        this.sequence = sequence;
        this.window = window;
    }

    /** DATA follows, so many bytes together. */
    void expect(long bodyBytes) {
        isOpen = true;
        missing = bodyBytes;
    }

    /** A piece of the request came. */
    void received(int bytes, boolean ends) throws Breach {
        if (!isOpen) {
            throw new Breach(CloseReason.DATA_AFTER_END);
        }
        if (bytes == 0 && !ends) {
            throw new Breach(CloseReason.MALFORMED);
        }
        if (bytes > allowed) {
            throw new Breach(CloseReason.WINDOW);
        }
        allowed -= bytes;
        boolean isTooLong = Long.compareUnsigned(bytes, missing) > 0;
        missing -= bytes;
        if (isTooLong || ends && missing != 0) {
            throw new Breach(CloseReason.BODY_LENGTH);
        }
        isOpen = !ends;
    }

    /** Bytes that came were consumed. */
    void consumed(int bytes) {
        owed += bytes;
    }

    /** Bytes are to be allowed again: when they are half of a window. */
    boolean owes() {
        return isOpen && owed >= WINDOW_BYTES / 2;
    }

    /** Allows what it owes. */
    int give() {
        int given = owed;
        allowed += given;
        owed = 0;
        return given;
    }

    /** The gateway takes so many bytes more. */
    void widen(long bytes) throws Breach {
        window += bytes;
        if (window > WINDOW_MAX) {
            throw new Breach(CloseReason.WINDOW);
        }
    }

    /** This body is sent as DATA. */
    void send(byte[] body, int length) {
        rest = body;
        restAt = 0;
        restEnd = length;
        state = State.ANSWERING;
    }

    /** There is a piece that may be sent. */
    boolean hasPiece() {
        return restAt < restEnd && window > 0;
    }

    /** How long the next piece is. */
    int pieceBytes(int max) {
        return (int) Math.min(window, Math.min(max, restEnd - restAt));
    }

    /** Whether a piece of so many bytes is the last. */
    boolean isLast(int bytes) {
        return restEnd - restAt == bytes;
    }

    void writePiece(ByteBuf output, int bytes) {
        output.writeBytes(rest, restAt, bytes);
        restAt += bytes;
        window -= bytes;
    }

    /** It is over, and nothing of it is sent any more. */
    void end() {
        state = State.OVER;
        rest = null;
        restAt = restEnd;
    }
}
