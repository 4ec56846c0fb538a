// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import dev.picofaas.runtime.Context;
import dev.picofaas.runtime.FunctionName;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicBoolean;

/** Handlers that write to the standard outputs themselves. */
public final class Writing {
    private static final int FLOOD_LINES = 1000;

    private Writing() {}

    /**
     * A line to write.
     *
     * @param to stdout or stderr
     * @param text a line, in which {id} stands for the execution's id and {n} for the number of times
     * @param times how often; once where it is left out
     * @param bytes what is written before that
     * @param ms how long to wait afterwards
     */
    public record Order(String to, String text, Long times, int[] bytes, Long ms) {
        byte[] line(String id, long n) {
            String line = text.replace("{id}", id).replace("{n}", Long.toString(n));
            return (line + "\n").getBytes(StandardCharsets.UTF_8);
        }

        /** Past {@code System.out}, which would swallow a failure. */
        @SuppressWarnings("resource")
        void write(byte[] out) throws IOException {
            new FileOutputStream(to.equals("stdout") ? FileDescriptor.out : FileDescriptor.err).write(out);
        }
    }

    /** Writes as told and returns its process id. */
    @FunctionName("write")
    public static final class Write extends Loading<Order, Long> {
        @Override
        public Long handle(Order input, Context context) throws IOException, InterruptedException {
            if (input.bytes() != null) {
                byte[] bytes = new byte[input.bytes().length];
                for (int at = 0; at < bytes.length; at++) {
                    bytes[at] = (byte) input.bytes()[at];
                }
                input.write(bytes);
            }
            long times = input.times() == null ? 1 : input.times();
            for (long n = 0; n < times; n++) {
                input.write(input.line(context.executionId(), n));
            }
            Thread.sleep(input.ms() == null ? 0 : input.ms());
            return ProcessHandle.current().pid();
        }
    }

    /**
     * A line to log.
     *
     * @param text what is logged
     * @param end whether the process ends then; it does not where it is left out
     */
    public record Words(String text, Boolean end) {}

    /** Logs input.text, writes it to stderr as it is, and ends the process with code 3 where it is told to. */
    @FunctionName("leave")
    public static final class Leave extends Loading<Words, Void> {
        @Override
        public Void handle(Words input, Context context) {
            context.log(input.text());
            System.err.println(input.text());
            if (Boolean.TRUE.equals(input.end())) {
                Runtime.getRuntime().halt(3);
            }
            return null;
        }
    }

    /** Writes without an end for the first invocation of its process; returns at once. */
    @FunctionName("flood")
    public static final class Flood extends Loading<Order, Long> {
        private final AtomicBoolean begun = new AtomicBoolean();

        @Override
        public Long handle(Order input, Context context) {
            if (begun.compareAndSet(false, true)) {
                ByteArrayOutputStream lines = new ByteArrayOutputStream();
                for (int n = 0; n < FLOOD_LINES; n++) {
                    lines.writeBytes(input.line(context.executionId(), n));
                }
                byte[] bytes = lines.toByteArray();
                Thread writer = new Thread(() -> writeForEver(input, bytes), "flood");
                writer.setDaemon(true);
                writer.start();
            }
            return ProcessHandle.current().pid();
        }

        private static void writeForEver(Order order, byte[] lines) {
            try {
                while (true) {
                    order.write(lines);
                }
            } catch (IOException closed) {
                // Nobody reads any more.
            }
        }
    }
}
