// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.buffer.ByteBuf;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** The corpora of the crate's fuzz targets. A file's name begins with the code that it ends with, or with valid. */
class CorpusTest {
    private static final Path CORPORA = Path.of("../../../frames/fuzz/corpus");
    private static final int ATTEMPTS_MAX = 4;

    private static List<Path> files(String target) throws IOException {
        try (Stream<Path> files = Files.list(CORPORA.resolve(target))) {
            return files.sorted().toList();
        }
    }

    /** Answers every second attempt that came whole, and writes at once. The others go on until they are left. */
    private static final class Answering extends Recorder {
        Answering() {
            super(ATTEMPTS_MAX);
        }

        @Override
        public void invoked(Slot<Integer> slot, RequestHead head, ByteBuf body, int bytes, boolean ends) {
            super.invoked(slot, head, body, bytes, ends);
            if (ends && slot.sequence % 2 == 0) {
                answer(slot.sequence, "null");
            }
            write();
        }

        @Override
        public void left(Integer owner) {
            super.left(owner);
            if (!end.isClosed()) {
                write();
            }
        }
    }

    /** Reads bytes in pieces; the code of the end, or valid. */
    private static String end(byte[] bytes, int piece) {
        Recorder instance = new Answering();
        instance.write();
        for (int at = 0; at < bytes.length; at += piece) {
            for (String event : instance.read(Arrays.copyOfRange(bytes, at, Math.min(bytes.length, at + piece)))) {
                if (event.startsWith("closed ")) {
                    return Integer.toString(CloseReason.valueOf(event.substring(7)).code);
                }
            }
            instance.write();
        }
        return "valid";
    }

    @Test
    void eachFileEndsAsItsNameSaysHoweverItIsCut() throws IOException {
        List<Path> files = files("decode_instance");
        assertTrue(files.size() >= 12, files.toString());
        for (Path file : files) {
            byte[] bytes = Files.readAllBytes(file);
            for (int piece : new int[] {1, 7, 13, 100, bytes.length}) {
                assertEquals(file.getFileName().toString().split("-")[0], end(bytes, piece), file + " by " + piece);
            }
        }
        for (Path file : files("decode_gateway")) {
            // Of the other end: nothing is thrown, however it ends.
            end(Files.readAllBytes(file), 7);
        }
    }
}
