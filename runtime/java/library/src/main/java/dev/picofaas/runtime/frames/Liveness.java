// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

/** Whether the gateway still lives, by when something came from it. Times are nanoseconds of one clock, from 0. */
final class Liveness {
    /** The consequence of the silence until now. */
    enum Verdict { ALIVE, ASK, SILENT, HALF_FRAME }

    /** No time. */
    static final long NEVER = Long.MAX_VALUE;
    /** Silence, while attempts are out, after which the gateway is asked for a sign of life. */
    static final long ASK_AFTER_NS = 1_000_000_000L;
    /** Further silence after which it is taken for dead. */
    static final long SILENT_AFTER_NS = 2_000_000_000L;
    /** How long a frame may be half received, and how long HELLO may take. */
    static final long FRAME_NS = 2_000_000_000L;

    private long heardNs;
    private long askedNs = NEVER;
    /** Since when a frame is received in part, or HELLO is waited for. */
    private long begunNs;

    /** Waits for a first frame. */
    Liveness(long nowNs) {
        heardNs = nowNs;
        begunNs = nowNs;
    }

    /** Bytes came, or the first attempt began. */
    void heard(long nowNs) {
        heardNs = nowNs;
        askedNs = NEVER;
    }

    /** All whole frames were taken; a part of one may be left, which may be the same as before. */
    void left(long nowNs, boolean hasPart, boolean isSame) {
        if (!hasPart) {
            begunNs = NEVER;
        } else if (!isSame || begunNs == NEVER) {
            begunNs = nowNs;
        }
    }

    Verdict judge(long nowNs, boolean hasAttempts) {
        if (begunNs != NEVER && nowNs >= begunNs + FRAME_NS) {
            return Verdict.HALF_FRAME;
        }
        if (!hasAttempts) {
            return Verdict.ALIVE;
        }
        if (askedNs != NEVER) {
            return nowNs >= askedNs + SILENT_AFTER_NS ? Verdict.SILENT : Verdict.ALIVE;
        }
        if (nowNs < heardNs + ASK_AFTER_NS) {
            return Verdict.ALIVE;
        }
        askedNs = nowNs;
        return Verdict.ASK;
    }

    /** When it is to be judged again, or {@link #NEVER}. */
    long deadlineNs(boolean hasAttempts) {
        long wholeNs = begunNs == NEVER ? NEVER : begunNs + FRAME_NS;
        if (!hasAttempts) {
            return wholeNs;
        }
        return Math.min(wholeNs, askedNs == NEVER ? heardNs + ASK_AFTER_NS : askedNs + SILENT_AFTER_NS);
    }
}
