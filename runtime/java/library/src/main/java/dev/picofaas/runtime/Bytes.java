// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/** The first {@code length} bytes of an array. */
record Bytes(byte[] array, int length) {
    static Bytes of(byte[] array) {
        return new Bytes(array, array.length);
    }
}
