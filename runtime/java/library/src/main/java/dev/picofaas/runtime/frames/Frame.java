// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

/** The head of every frame: length of the payload, sequence, kind, flags, and two bytes that are kept. */
final class Frame {
    static final int HEAD_BYTES = 12;
    static final int SEQUENCE_AT = 4;
    static final int KIND_AT = 8;
    static final int FLAGS_AT = 9;
    /** A payload. It bounds the memory that half a frame can take. */
    static final int PAYLOAD_BYTES_MAX = 20_480;
    /** The least that an end may set as its own longest payload. */
    static final int PAYLOAD_BYTES_LEAST = 8192;
    /** A piece of a body, so that attempts of one connection take turns often. */
    static final int DATA_BYTES_MAX = 16_384;

    /** The flag of the last frame of a body. */
    static final int END = 1;
    /** The flag of a PING that answers one. */
    static final int ACK = 1 << 1;
    /** The flag of a frame that is skipped by an end that does not know its kind. */
    static final int IGNORABLE = 1 << 7;

    private Frame() {}

    static boolean has(int flags, int flag) {
        return (flags & flag) != 0;
    }
}
