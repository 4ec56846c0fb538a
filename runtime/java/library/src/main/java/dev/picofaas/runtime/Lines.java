// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;

/**
 * One of the two standard outputs, line by line: the one place that decides how a line is written.
 *
 * <p>A line has {@code executionId=… traceId=…} of its {@link Owner} before it, unless it already says so where it is
 * looked for: at its head ({@code info executionId=…}), or as a member of the JSON object that it is. One without an
 * owner that has an id of any execution in it has {@code executionId=-} before it, so that it is found among the lines
 * of none: the text may be what a client sent. A line is written at once, in UTF-8, with its end. One that was begun waits for its end, for {@code flush}, or for the end of its
 * execution; over 8 KiB it is cut between characters, and each piece has the ids. What goes to the file descriptors
 * themselves is none of this.
 */
final class Lines extends OutputStream {
    private static final Lines OUT = new Lines(FileDescriptor.out);
    private static final Lines ERR = new Lines(FileDescriptor.err);
    private static final Set<String> LEVELS =
        Set.of("trace", "debug", "info", "warn", "warning", "error", "severe", "fatal");
    /** Before a line of no execution whose text might name one. */
    private static final byte[] OF_NONE = "executionId=- ".getBytes(StandardCharsets.US_ASCII);
    /** Hexadecimal digits of an execution's id. */
    private static final int ID_DIGITS = 40;
    /** Held by the thread that writes; it may be a virtual one. */
    private static final ReentrantLock WRITING = new ReentrantLock();
    /** The line whose beginning was flushed, and which goes on where no other is written before. */
    private static Line open;

    private final FileOutputStream file;
    /** Lines that were begun, by their threads. */
    private final Map<Thread, Line> begun = new HashMap<>();

    private Lines(FileDescriptor descriptor) {
        file = new FileOutputStream(descriptor);
    }

    /** A line without its end yet. */
    private final class Line {
        private final Ids ids;
        private final ByteArrayOutputStream text = new ByteArrayOutputStream();
        /** Bytes that were flushed. */
        private int flushed;

        Line(Ids ids) {
            this.ids = ids;
        }

        /** Writes what there is, in pieces where it is long. */
        void write(boolean ends) {
            boolean goesOn = open == this;
            if (!goesOn) {
                endOpen();
            }
            byte[] bytes = text.toByteArray();
            text.reset();
            ByteArrayOutputStream written = new ByteArrayOutputStream(bytes.length + 128);
            int begin = 0;
            do {
                int room = Math.max(0, Limits.LOG_LINE_BYTES_MAX - (goesOn ? flushed : 0));
                int end = Text.end(bytes, begin, room);
                if (!goesOn) {
                    flushed = 0;
                    boolean isWhole = ends || end < bytes.length;
                    prefix(new String(bytes, begin, end - begin, StandardCharsets.UTF_8), isWhole, written);
                }
                written.write(bytes, begin, end - begin);
                flushed += end - begin;
                if (end < bytes.length || ends) {
                    written.write('\n');
                    goesOn = false;
                }
                begin = end;
            } while (begin < bytes.length);
            open = ends ? null : this;
            put(written.toByteArray());
        }

        /** Nobody knows what comes behind a piece that is not whole. */
        private void prefix(String piece, boolean isWhole, ByteArrayOutputStream written) {
            if (ids != null) {
                if (!names(piece, ids.execution())) {
                    written.writeBytes((Log.who(ids) + " ").getBytes(StandardCharsets.UTF_8));
                }
            } else if (Owner.hadAny() && (!isWhole || hasId(piece))) {
                written.writeBytes(OF_NONE);
            }
        }

        Lines stream() {
            return Lines.this;
        }
    }

    /** From now on, what is printed comes here. */
    static void install() {
        Owner.none();
        // Without a flush of its own, which could not be told from one that is asked for.
        System.setOut(new PrintStream(OUT, false, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(ERR, false, StandardCharsets.UTF_8));
        Runtime.getRuntime().addShutdownHook(new Thread(Lines::endAll, "last lines"));
    }

    /** Writes lines of the runtime's own to standard error. */
    static void say(String text) {
        WRITING.lock();
        try {
            endOpen();
            ERR.put(text.getBytes(StandardCharsets.UTF_8));
        } finally {
            WRITING.unlock();
        }
    }

    /** Ends the lines that this thread has begun. */
    static void endLines() {
        WRITING.lock();
        try {
            OUT.endLine(Thread.currentThread());
            ERR.endLine(Thread.currentThread());
        } finally {
            WRITING.unlock();
        }
    }

    /** Ends the lines that were begun for an execution, by whichever thread. */
    static void endLinesOf(Ids ids) {
        WRITING.lock();
        try {
            OUT.endEach(ids);
            ERR.endEach(ids);
        } finally {
            WRITING.unlock();
        }
    }

    private static void endAll() {
        WRITING.lock();
        try {
            OUT.endEach(null);
            ERR.endEach(null);
        } finally {
            WRITING.unlock();
        }
    }

    @Override
    public void write(int one) {
        write(new byte[] {(byte) one}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int from, int length) {
        Thread thread = Thread.currentThread();
        Ids ids = Owner.ids();
        WRITING.lock();
        try {
            Line line = begun.get(thread);
            if (line != null && line.ids != ids && (ids == null || !ids.equals(line.ids))) {
                endLine(thread);
                line = null;
            }
            int begin = from;
            for (int at = from; at < from + length; at++) {
                if (bytes[at] == '\n') {
                    line = line == null ? new Line(ids) : line;
                    line.text.write(bytes, begin, at - begin);
                    line.write(true);
                    line = null;
                    begin = at + 1;
                }
            }
            if (begin < from + length) {
                line = line == null ? new Line(ids) : line;
                line.text.write(bytes, begin, from + length - begin);
                if (line.text.size() > 2 * Limits.LOG_LINE_BYTES_MAX) {
                    line.write(false);
                }
            }
            keep(thread, line);
        } finally {
            WRITING.unlock();
        }
    }

    private void keep(Thread thread, Line line) {
        if (line == null) {
            begun.remove(thread);
            return;
        }
        begun.put(thread, line);
        if (begun.size() > Limits.LINES_BEGUN_MAX) {
            endEach(null);
        }
    }

    /** Writes the beginning of a line that this thread has begun. */
    @Override
    public void flush() {
        WRITING.lock();
        try {
            Line line = begun.get(Thread.currentThread());
            if (line != null && line.text.size() > 0) {
                line.write(false);
            }
        } finally {
            WRITING.unlock();
        }
    }

    @Override
    public void close() {
        // Others go on printing.
    }

    private void endLine(Thread thread) {
        Line line = begun.remove(thread);
        if (line != null && (line.text.size() > 0 || open == line)) {
            line.write(true);
        }
    }

    /** Ends those of an execution, or all. */
    private void endEach(Ids ids) {
        begun.entrySet().stream().filter(line -> ids == null || ids.equals(line.getValue().ids)).map(Map.Entry::getKey)
            .toList().forEach(this::endLine);
    }

    private static void endOpen() {
        if (open != null) {
            Line line = open;
            open = null;
            line.stream().put(new byte[] {'\n'});
        }
    }

    private void put(byte[] bytes) {
        try {
            file.write(bytes);
        } catch (IOException closed) {
            // There is nowhere to say so, and nothing to be done.
        }
    }

    /** Whether an id of an execution stands anywhere in a line. */
    static boolean hasId(String line) {
        int digits = 0;
        for (int at = 0; at <= line.length(); at++) {
            char letter = at < line.length() ? line.charAt(at) : ' ';
            if (letter >= '0' && letter <= '9' || letter >= 'a' && letter <= 'f') {
                digits++;
            } else if (digits == ID_DIGITS) {
                return true;
            } else {
                digits = 0;
            }
        }
        return false;
    }

    /** Whether a line says of itself, where that is looked for, that it is of this execution. */
    static boolean names(String line, String own) {
        if (!line.contains(own)) {
            return false;
        }
        if (line.startsWith("{")) {
            String name = "\"executionId\"";
            return line.indexOf(name) == line.lastIndexOf(name) && hasMember(line, own);
        }
        String[] words = line.split(" ", 3);
        String word = words.length > 1 && LEVELS.contains(words[0].toLowerCase(java.util.Locale.ROOT)) ? words[1]
            : words[0];
        return word.equals("executionId=" + own);
    }

    private static boolean hasMember(String line, String own) {
        try (JsonParser parser = Json.FACTORY.createParser(line)) {
            boolean has = false;
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                boolean isId = parser.getText().equals("executionId");
                JsonToken value = parser.nextToken();
                has |= isId && value == JsonToken.VALUE_STRING && parser.getText().equals(own);
                parser.skipChildren();
            }
            return has && parser.currentToken() == JsonToken.END_OBJECT && parser.nextToken() == null;
        } catch (IOException noJson) {
            return false;
        }
    }

    /** Loaded by the first line that may be JSON. */
    private static final class Json {
        static final JsonFactory FACTORY = new JsonFactory();
    }
}
