// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.handler.codec.DateFormatter;
import java.util.Date;

/** The time as {@code Date} says it, written once a second. Used by one thread. */
final class HttpDate {
    private long second = -1;
    private String text;

    String now() {
        long nowMs = System.currentTimeMillis();
        if (nowMs / 1000 != second) {
            second = nowMs / 1000;
            text = DateFormatter.format(new Date(nowMs));
        }
        return text;
    }
}
