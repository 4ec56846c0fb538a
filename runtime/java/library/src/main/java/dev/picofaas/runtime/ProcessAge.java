// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;

/** How long the process, the runtime in it and its handler have been there: the JVM itself takes its time before main. */
final class ProcessAge {
    /** The unit in which the kernel counts a process's start, on every Linux. */
    private static final long TICK_MS = 10;

    private final long beganNs = System.nanoTime();
    private final long beforeMs = beforeMs(beganNs);
    private volatile long readyNs = beganNs;

    /** Whole milliseconds since the start, within 10 ms. */
    long ms() {
        return beforeMs + Math.max(1, (System.nanoTime() - beganNs + 999_999) / 1_000_000);
    }

    /** The handler can take an invocation from now on. */
    void handlerIsReady() {
        readyNs = System.nanoTime();
    }

    /** The headers that tell of this with health and with an announcement. Each age is at most the one before it. */
    Map<String, String> headers() {
        long nowNs = System.nanoTime();
        long runtimeMs = (nowNs - beganNs) / 1_000_000;
        Map<String, String> headers = new LinkedHashMap<>();
        headers.put("x-acknowledges", "100-continue");
        headers.put("x-process-age-ms", Long.toString(beforeMs + runtimeMs));
        headers.put("x-runtime-age-ms", Long.toString(runtimeMs));
        headers.put("x-handler-age-ms", Long.toString((nowNs - readyNs) / 1_000_000));
        return headers;
    }

    /** Milliseconds from the start until main; 0 where it cannot be told, and then the time since main counts. */
    private static long beforeMs(long beganNs) {
        try {
            String stat = Files.readString(Path.of("/proc/self/stat"));
            // The name, in brackets, may have anything in it. Behind it the start is the 20th field.
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", 21);
            String uptime = Files.readString(Path.of("/proc/uptime"));
            double nowMs = Double.parseDouble(uptime.substring(0, uptime.indexOf(' '))) * 1000;
            // To read this takes its time, too, and that is counted from main on.
            long readingMs = (System.nanoTime() - beganNs) / 1_000_000;
            return Math.max(0, Math.round(nowMs) - readingMs - Long.parseLong(fields[19]) * TICK_MS);
        } catch (IOException | RuntimeException unknown) {
            return 0;
        }
    }
}
