// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The example of docs/frames.md, against what is read and written here. */
class DocumentTest {
    private static final Path PAGE = Path.of("../../../docs/frames.md");

    /** Bytes that one end writes at once. */
    private record Block(String end, byte[] bytes) {}

    private static Deque<Block> blocks() throws IOException {
        Deque<Block> blocks = new ArrayDeque<>();
        ByteArrayOutputStream bytes = null;
        String end = null;
        for (String line : Files.readAllLines(PAGE)) {
            if (line.equals("```gateway") || line.equals("```instance")) {
                end = line.substring(3);
                bytes = new ByteArrayOutputStream();
            } else if (line.equals("```") && bytes != null) {
                blocks.add(new Block(end, bytes.toByteArray()));
                bytes = null;
            } else if (bytes != null) {
                bytes.writeBytes(bytesOf(line));
            }
        }
        return blocks;
    }

    /** The pairs of hexadecimal digits before any text, or the zeros that a line stands for. */
    private static byte[] bytesOf(String line) {
        if (line.endsWith(" zeros)")) {
            return new byte[Integer.parseInt(line.substring(1, line.indexOf(' ')))];
        }
        String digits = line.split(" {3}", 2)[0].replace(" ", "");
        return io.netty.buffer.ByteBufUtil.decodeHexDump(digits);
    }

    private final Recorder instance = new Recorder(8);
    private final Deque<Block> blocks = blocks();

    DocumentTest() throws IOException {}

    private List<String> gatewayWrites() {
        Block block = blocks.remove();
        assertEquals("gateway", block.end());
        return instance.read(block.bytes());
    }

    private void instanceWrites() {
        Block block = blocks.remove();
        assertEquals("instance", block.end());
        assertArrayEquals(block.bytes(), instance.write());
        assertFalse(instance.end.hasOutgoing());
    }

    @Test
    void theInstanceReadsAndWritesTheBytesOfTheExample() {
        assertEquals(List.of(), gatewayWrites());
        instanceWrites();

        assertEquals(List.of("invoked 1 {\"input\":1}", "invoked 2 {}"), gatewayWrites());
        RequestHead first = instance.heads.get(1);
        assertEquals(new RequestHead("0b".repeat(20), "0c".repeat(16), "0d".repeat(8), 1, 1, 30_000, 11, null, "k1",
            null, null), first);
        RequestHead second = instance.heads.get(2);
        assertEquals(List.of("0e".repeat(20), 2, 1000L),
            List.of(second.executionId(), second.attempt(), second.deadlineMs()));
        instance.answerFirst(1, 17, "42".getBytes(StandardCharsets.UTF_8));
        instanceWrites();

        assertEquals(List.of("left 2"), gatewayWrites());
        instanceWrites();

        assertEquals(List.of("invoked 3 {}"), gatewayWrites());
        instance.answer(3, new byte[20_500]);
        instanceWrites();

        instance.end.goAway("drain");
        instanceWrites();
        assertTrue(instance.end.isDrained());
        assertEquals(0, blocks.size(), "every block was written");
    }
}
