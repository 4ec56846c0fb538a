// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.buffer.ByteBuf;
import io.netty.util.concurrent.EventExecutor;
import io.netty.util.concurrent.Future;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;

/** A request's body while it comes, in pieces: no longer than it may be, and in time. */
final class Body {
    private static final int BYTES_AT_FIRST = 8192;

    private final int bytesMax;
    private byte[] array;
    private int length;
    private boolean isDropped;
    private Future<?> timer;

    Body(int bytesMax) {
        this.bytesMax = bytesMax;
    }

    /** Nobody will read it: what comes is only counted. */
    void drop() {
        isDropped = true;
        array = null;
    }

    /** Calls {@code late} if it has not come in time. */
    void await(EventExecutor loop, Runnable late) {
        timer = loop.schedule(late, Limits.BODY_READ_MS_MAX, TimeUnit.MILLISECONDS);
    }

    /** Takes the next bytes of a message; false if they are too many. The last piece is not expected to grow. */
    boolean append(ByteBuf piece, int count, boolean isLast) {
        if (count > bytesMax - length) {
            return false;
        }
        if (!isDropped) {
            if (array == null) {
                array = new byte[isLast ? count : Math.max(count, BYTES_AT_FIRST)];
            } else if (count > array.length - length) {
                long grown = Math.max(length + (long) count, array.length * 2L);
                array = Arrays.copyOf(array, (int) Math.min(bytesMax, grown));
            }
            piece.readBytes(array, length, count);
        }
        length += count;
        return true;
    }

    /** Hands over all that came. */
    Bytes take() {
        Bytes whole = new Bytes(array == null ? new byte[0] : array, length);
        array = null;
        return whole;
    }

    /** It is not waited for any more. */
    void stop() {
        if (timer != null) {
            timer.cancel(false);
        }
    }
}
