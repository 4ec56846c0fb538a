// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

/** The kinds of frames, in the order of their numbers, from 1. */
enum Kind {
    HELLO, HEAD, DATA, WINDOW, CANCEL, DONE, PING, GOAWAY;

    private static final Kind[] KINDS = values();

    /** Null where the number is of none. */
    static Kind of(int number) {
        return number >= 1 && number <= KINDS.length ? KINDS[number - 1] : null;
    }

    int number() {
        return ordinal() + 1;
    }
}
