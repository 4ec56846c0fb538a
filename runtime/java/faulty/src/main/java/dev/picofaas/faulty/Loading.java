// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import dev.picofaas.runtime.FunctionHandler;

/** A handler that takes CONTRACT_LOAD_MS milliseconds to load, where that is set, and writes `loaded` when it is. */
abstract class Loading<I, O> implements FunctionHandler<I, O> {
    Loading() {
        String loadMs = System.getenv("CONTRACT_LOAD_MS");
        if (loadMs == null) {
            return;
        }
        try {
            Thread.sleep(Long.parseLong(loadMs));
        } catch (InterruptedException stopped) {
            throw new IllegalStateException("interrupted while loading", stopped);
        }
        System.err.println("loaded");
    }
}
