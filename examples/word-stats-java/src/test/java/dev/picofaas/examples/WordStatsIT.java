// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.examples;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The function as a process, called as an instance is called. */
class WordStatsIT {
    @TempDir
    static Path folder;
    private static Process process;

    @BeforeAll
    static void start() throws Exception {
        ProcessBuilder builder = new ProcessBuilder(System.getProperty("java.command"),
            "-XX:SharedArchiveFile=" + System.getProperty("function.archive"), "-XX:+UseSerialGC", "-jar",
            System.getProperty("function.jar"));
        builder.environment().clear();
        builder.environment().put("PICOFAAS_SOCKET", folder.resolve("fn.sock").toString());
        process = builder.start();
        String greeting = process.errorReader().readLine();
        assertTrue(greeting != null && greeting.startsWith("listening"), greeting);
    }

    @AfterAll
    static void end() {
        process.destroyForcibly();
    }

    /** Everything that comes back, the head included. */
    private static String invoke(String input) throws Exception {
        byte[] body = ("{\"input\":" + input + "}").getBytes(StandardCharsets.UTF_8);
        String head = "POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e-1\r\nconnection: close\r\ncontent-length: "
            + body.length + "\r\n\r\n";
        try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(folder.resolve("fn.sock")))) {
            channel.write(ByteBuffer.wrap(head.getBytes(StandardCharsets.UTF_8)));
            channel.write(ByteBuffer.wrap(body));
            ByteArrayOutputStream answer = new ByteArrayOutputStream();
            ByteBuffer piece = ByteBuffer.allocate(8192);
            while (channel.read(piece) >= 0) {
                answer.write(piece.array(), 0, piece.position());
                piece.clear();
            }
            return answer.toString(StandardCharsets.UTF_8);
        }
    }

    @Test
    void theInputInTheManifestGivesTheOutputInTheReadme() throws Exception {
        Matcher example = Pattern.compile("example-input: '(.*)'").matcher(Files.readString(Path.of("function.yaml")));
        assertTrue(example.find());
        String[] answer = invoke(example.group(1)).split("\r\n\r\n", 2);
        assertTrue(answer[0].startsWith("HTTP/1.1 200 "), answer[0]);
        List<String> lines = Files.readAllLines(Path.of("README.md"));
        assertTrue(lines.contains("# " + answer[1]), answer[1]);
    }

    @Test
    void charactersBeyondTheFirstPlaneComeBackAsTheyAre() throws Exception {
        String answer = invoke("{\"text\":\"\ud801\udc00!\"}");
        assertTrue(answer.endsWith("\"topWords\":[{\"word\":\"\ud801\udc00\",\"count\":1}]}"), answer);
    }

    @Test
    void withoutTopNThereAreTenAndWhatIsWrongIsNamed() throws Exception {
        String answer = invoke("{\"text\":\"a b c d e f g h i j k l\"}");
        assertEquals(10, answer.split("\"count\":1").length - 1, answer);
        for (String[] bad : new String[][] {
            {"{\"text\":\"a\",\"topn\":1}", "input.topn: unknown field"}, {"{\"topN\":1}", "text"},
            {"{\"text\":\"\\ud800\"}", "input.text"}, {"{\"text\":null}", "input.text"}, {"{\"text\":7}", "input"},
            {"{\"text\":\"a\",\"topN\":null}", "input.topN"}, {"{\"text\":\"a\",\"topN\":1001}", "input.topN"},
            {"{\"text\":\"a\",\"topN\":-1}", "input.topN"}, {"{\"text\":\"a\",\"topN\":1.5}", "input.topN"},
        }) {
            String refused = invoke(bad[0]);
            assertTrue(refused.startsWith("HTTP/1.1 400 ") && refused.contains("BAD_INPUT")
                && refused.contains(bad[1]), bad[0] + " got " + refused);
        }
    }
}
