// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.util.function.Consumer;
import sun.misc.Signal;

/**
 * SIGTERM and SIGINT. Once asked for, they end nothing by themselves any more, neither the first nor the second: a
 * terminal's Ctrl-C and the control plane's SIGTERM come together, and what runs is to be finished. A shutdown hook
 * could not do this: it cannot tell a signal from a handler's System.exit, nor say what the process exits with.
 */
final class Stop {
    private Stop() {}

    /** Calls {@code stopped} with the signal's name, on a thread of the JVM, for each signal. */
    static void on(Consumer<String> stopped) {
        for (String name : new String[] {"TERM", "INT"}) {
            Signal.handle(new Signal(name), signal -> stopped.accept("SIG" + signal.getName()));
        }
    }
}
