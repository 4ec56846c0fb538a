// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

/** A violation that was found in what was read. */
final class Breach extends Exception {
    private static final long serialVersionUID = 1L;

    final CloseReason reason;

    Breach(CloseReason reason) {
        // Its own stack says nothing.
        super(reason.text, null, false, false);
        this.reason = reason;
    }
}
