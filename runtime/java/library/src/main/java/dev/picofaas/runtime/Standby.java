// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.util.concurrent.atomic.AtomicBoolean;

/** How many invocations an instance may run: any number, or, where it is a standby, one. Any thread may ask. */
final class Standby {
    static final String VARIABLE = "PICOFAAS_STANDBY";

    private final boolean isStandby;
    private final AtomicBoolean isUsed = new AtomicBoolean();

    Standby(boolean isStandby) {
        this.isStandby = isStandby;
    }

    /** Whether a value of the variable, or null, asks for a standby. */
    static boolean isAskedFor(String value) throws StartException {
        if (value == null || value.equals("1")) {
            return value != null;
        }
        throw StartException.malformed(VARIABLE, value,
            "1, for an instance that takes one invocation and ends, or leave it out");
    }

    boolean isStandby() {
        return isStandby;
    }

    /** Refuses an invocation where a handler was run. */
    void check() throws Failure {
        if (isUsed.get()) {
            throw Failure.alreadyUsed();
        }
    }

    /** A handler is called next; refused where one was before. */
    void begin() throws Failure {
        if (isStandby && !isUsed.compareAndSet(false, true)) {
            throw Failure.alreadyUsed();
        }
    }
}
