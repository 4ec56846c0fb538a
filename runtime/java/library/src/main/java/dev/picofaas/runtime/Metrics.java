// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/** Counts of an instance about itself, and their text for Prometheus. It belongs to the event loop. */
final class Metrics {
    /** Upper bounds of the histogram's buckets in seconds; above the last there is +Inf. */
    private static final String[] BOUNDS_SECONDS = {
        "0.00001", "0.00005", "0.0001", "0.0005", "0.001", "0.005", "0.01", "0.05", "0.1", "0.5", "1", "5", "10", "30",
        "60", "300",
    };
    private static final long[] BOUNDS_NS = {
        10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 50_000_000, 100_000_000, 500_000_000,
        1_000_000_000L, 5_000_000_000L, 10_000_000_000L, 30_000_000_000L, 60_000_000_000L, 300_000_000_000L,
    };

    private final long[] invocations = new long[Outcome.values().length];
    /** Not cumulative; the last is +Inf. */
    private final long[] buckets = new long[BOUNDS_NS.length + 1];
    private long totalNs;
    private int inFlight;

    void begin() {
        inFlight++;
    }

    void end(Outcome outcome, long tookNs) {
        int bucket = 0;
        while (bucket < BOUNDS_NS.length && tookNs > BOUNDS_NS[bucket]) {
            bucket++;
        }
        buckets[bucket]++;
        totalNs += tookNs;
        invocations[outcome.ordinal()]++;
        inFlight--;
    }

    int inFlight() {
        return inFlight;
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder(2048);
        String name = "picofaas_runtime_invocations_total";
        text.append("# HELP ").append(name).append(" Invocations that ended, by how they ended.\n");
        text.append("# TYPE ").append(name).append(" counter\n");
        for (Outcome outcome : Outcome.values()) {
            text.append(name).append("{outcome=\"").append(outcome.label).append("\"} ");
            text.append(invocations[outcome.ordinal()]).append('\n');
        }
        name = "picofaas_runtime_in_flight";
        text.append("# HELP ").append(name).append(" Invocations that are being worked on.\n");
        text.append("# TYPE ").append(name).append(" gauge\n");
        text.append(name).append(' ').append(inFlight).append('\n');

        name = "picofaas_runtime_invocation_seconds";
        text.append("# HELP ").append(name).append(" Time from a request's head to its answer.\n");
        text.append("# TYPE ").append(name).append(" histogram\n");
        long count = 0;
        for (int bucket = 0; bucket < BOUNDS_NS.length; bucket++) {
            count += buckets[bucket];
            text.append(name).append("_bucket{le=\"").append(BOUNDS_SECONDS[bucket]).append("\"} ");
            text.append(count).append('\n');
        }
        count += buckets[BOUNDS_NS.length];
        text.append(name).append("_bucket{le=\"+Inf\"} ").append(count).append('\n');
        text.append(name).append("_sum ").append(totalNs / 1e9).append('\n');
        return text.append(name).append("_count ").append(count).append('\n').toString();
    }
}
