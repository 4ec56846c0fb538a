// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.buffer.ByteBuf;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Objects;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The body of a web request on its way from the event loop to the handler's thread. Where {@link Limits#WEB_BODY_BYTES}
 * wait to be read, the loop reads no more of the connection.
 */
final class WebBody extends InputStream {
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final Deque<byte[]> pieces = new ArrayDeque<>();
    /** Bytes of the first piece that were read. */
    private int read;
    private int waiting;
    private boolean isWhole;
    private boolean isBroken;
    private boolean wasAsked;
    private final Runnable asked;
    private final Runnable hasRoom;

    /** {@code asked} is called when the first byte is asked for, {@code hasRoom} when more may come than before. */
    WebBody(Runnable asked, Runnable hasRoom) {
        this.asked = asked;
        this.hasRoom = hasRoom;
    }

    /** Takes the next piece. */
    void append(ByteBuf piece, boolean isLast) {
        int count = piece.readableBytes();
        lock.lock();
        try {
            if (count > 0 && !isBroken) {
                byte[] bytes = new byte[count];
                piece.readBytes(bytes);
                pieces.add(bytes);
                waiting += count;
            }
            isWhole |= isLast;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Nothing more is to come before some of it was read. */
    boolean isFull() {
        lock.lock();
        try {
            return waiting >= Limits.WEB_BODY_BYTES && !isBroken;
        } finally {
            lock.unlock();
        }
    }

    /** Nobody is to read on, or nothing more comes. */
    void end() {
        lock.lock();
        try {
            isBroken = true;
            pieces.clear();
            waiting = 0;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    @Override
    public int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] bytes, int from, int count) throws IOException {
        Objects.checkFromIndexSize(from, count, bytes.length);
        if (count == 0) {
            return 0;
        }
        boolean hadNoRoom;
        int given;
        lock.lock();
        try {
            if (!await()) {
                return -1;
            }
            byte[] first = pieces.peek();
            given = Math.min(count, first.length - read);
            System.arraycopy(first, read, bytes, from, given);
            read += given;
            if (read == first.length) {
                pieces.poll();
                read = 0;
            }
            hadNoRoom = waiting >= Limits.WEB_BODY_BYTES;
            waiting -= given;
            hadNoRoom &= waiting < Limits.WEB_BODY_BYTES;
        } finally {
            lock.unlock();
        }
        if (hadNoRoom) {
            hasRoom.run();
        }
        return given;
    }

    @Override
    public int available() {
        lock.lock();
        try {
            return waiting;
        } finally {
            lock.unlock();
        }
    }

    /** Waits for a piece; false at the end. */
    private boolean await() throws IOException {
        if (!wasAsked) {
            wasAsked = true;
            asked.run();
        }
        try {
            while (pieces.isEmpty() && !isWhole && !isBroken) {
                changed.await();
            }
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("the request is over");
        }
        if (isBroken) {
            throw new IOException("the body of the request broke off");
        }
        return !pieces.isEmpty();
    }
}
