// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

/** Why a connection is over. All but the first three are violations of the protocol by the gateway. */
public enum CloseReason {
    DISCONNECTED(0, "the connection broke or was closed by the gateway"),
    SILENT(0, "the gateway gave no sign of life"),
    HALF_FRAME(0, "the rest of a frame did not come"),
    FRAME_TOO_LONG(1, "a frame is too long"),
    UNKNOWN_KIND(2, "a frame has an unknown kind"),
    MISPLACED(3, "a frame came from the wrong end or at the wrong time"),
    MALFORMED(4, "a frame is malformed"),
    BAD_HELLO(5, "HELLO has no version or limits that are too small"),
    UNKNOWN_SEQUENCE(6, "a sequence was never sent, is not the next one or must not be there"),
    // 7 is found by gateways alone.
    DATA_AFTER_END(8, "DATA came after the end of its body"),
    WINDOW(9, "a window was exceeded or overflowed"),
    BODY_LENGTH(10, "a body has another length than its HEAD says"),
    TOO_MANY_ATTEMPTS(11, "more attempts came than are taken at once");

    /** The code of the GOAWAY that says so. */
    public final int code;
    /** For logs, here and at the gateway. */
    public final String text;

    CloseReason(int code, String text) {
        this.code = code;
        this.text = text;
    }
}
