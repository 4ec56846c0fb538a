// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.io.IOException;
import java.io.OutputStream;
import java.util.Arrays;

/** Bytes up to a limit; more of them fail instead of being cut. */
final class BoundedOutput extends OutputStream {
    private static final int BYTES_AT_FIRST = 256;

    private final int max;
    private byte[] array = new byte[BYTES_AT_FIRST];
    private int length;
    private boolean overflowed;

    BoundedOutput(int max) {
        this.max = max;
    }

    @Override
    public void write(int value) throws IOException {
        write(new byte[] {(byte) value}, 0, 1);
    }

    @Override
    public void write(byte[] piece, int offset, int count) throws IOException {
        // Once it was too much it stays so: Jackson closes, and so flushes, after a failure.
        if (overflowed || count > max - length) {
            overflowed = true;
            throw new IOException("too long");
        }
        if (count > array.length - length) {
            array = Arrays.copyOf(array, (int) Math.min(max, Math.max(length + (long) count, array.length * 2L)));
        }
        System.arraycopy(piece, offset, array, length, count);
        length += count;
    }

    boolean overflowed() {
        return overflowed;
    }

    boolean isEmpty() {
        return length == 0;
    }

    /** The bytes that were written; none may be written afterwards. */
    Bytes bytes() {
        return new Bytes(array, length);
    }
}
