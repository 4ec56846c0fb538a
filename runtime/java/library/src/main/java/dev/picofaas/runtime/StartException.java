// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/** Why the program did not start, and what it exits with. */
final class StartException extends Exception {
    private static final long serialVersionUID = 1L;

    /** It cannot listen. */
    static final int CANNOT_LISTEN = 1;
    /** The environment or the jar does not say clearly what to do. */
    static final int UNCLEAR = 2;

    final int exitCode;

    StartException(int exitCode, String message) {
        super(message);
        this.exitCode = exitCode;
    }

    static StartException unclear(String message) {
        return new StartException(UNCLEAR, message);
    }

    static StartException malformed(String name, String value, String rule) {
        return unclear(name + " is `" + value + "`: give " + rule);
    }
}
