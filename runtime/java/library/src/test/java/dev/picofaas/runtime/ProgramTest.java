// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** A program by itself, where no module of Jackson is on the class path. */
class ProgramTest {
    record Input(LocalDate day) {}

    private static final FunctionHandler<RawJson, RawJson> ECHO = new FunctionHandler<>() {
        @Override
        public RawJson handle(RawJson input, Context context) {
            return input;
        }
    };

    private static String outputOf(FunctionHandler<?, ?> handler, String input) throws Exception {
        byte[] body = ("{\"input\":" + input + "}").getBytes(StandardCharsets.UTF_8);
        Call call = new Call("e-1", null, null, null, 1, null, null);
        Bytes output = new Program(handler, Limits.SETTING_BYTES_MAX).run(call, new Bytes(body, body.length), () -> { });
        return new String(output.array(), 0, output.length(), StandardCharsets.UTF_8);
    }

    private static Failure failureOf(FunctionHandler<?, ?> handler, String input) throws StartException {
        byte[] body = ("{\"input\":" + input + "}").getBytes(StandardCharsets.UTF_8);
        Program program = new Program(handler, 1000);
        Call call = new Call("e-1", null, null, null, 1, null, null);
        return assertThrows(Failure.class, () -> program.run(call, new Bytes(body, body.length), () -> { }));
    }

    @Test
    void aModuleThatIsMissingIsTheFunctionsFaultAndNamed() throws Exception {
        FunctionHandler<Input, String> dated = new FunctionHandler<>() {
            @Override
            public String handle(Input input, Context context) {
                return "unreachable";
            }
        };
        Failure unmade = failureOf(dated, "{\"day\":\"2026-11-29\"}");
        assertEquals(500, unmade.status);
        assertEquals("HANDLER_ERROR", unmade.code);
        assertTrue(unmade.getMessage().contains("input.day: ")
            && unmade.getMessage().contains("jackson-datatype-jsr310"), unmade.getMessage());
        // The client's fault stays the client's.
        assertEquals(400, failureOf(dated, "{\"date\":1}").status);

        FunctionHandler<Integer, Optional<LocalDate>> dating = new FunctionHandler<>() {
            @Override
            public Optional<LocalDate> handle(Integer input, Context context) {
                return Optional.of(LocalDate.EPOCH);
            }
        };
        Failure unwritten = failureOf(dating, "1");
        assertEquals("BAD_OUTPUT", unwritten.code);
        assertTrue(unwritten.getMessage().contains("jackson-datatype-jdk8"), unwritten.getMessage());
    }

    @Test
    void textsNamesAndNumbersAreAsLongAsABodyAndAnOutputMayBe() throws Exception {
        String text = '"' + "x".repeat(20_000_001) + '"';
        FunctionHandler<String, String> texts = new FunctionHandler<>() {
            @Override
            public String handle(String input, Context context) {
                return input;
            }
        };
        assertTrue(text.equals(outputOf(texts, text)));
        String name = "{\"" + "n".repeat(50_001) + "\":1}";
        FunctionHandler<Map<String, Integer>, Object> names = new FunctionHandler<>() {
            @Override
            public Object handle(Map<String, Integer> input, Context context) {
                return input;
            }
        };
        assertTrue(name.equals(outputOf(names, name)));
        String digits = "1".repeat(5000);
        for (String raw : List.of(text, name, digits, "-0." + digits, "1e" + "0".repeat(5000) + "1")) {
            assertTrue(raw.equals(outputOf(ECHO, raw)), raw.substring(0, 10));
        }
    }

    @Test
    void aNumberThatIsTakenForOneHasAThousandDigitsAtMost() throws Exception {
        FunctionHandler<BigInteger, Object> exact = new FunctionHandler<>() {
            @Override
            public Object handle(BigInteger input, Context context) {
                return input;
            }
        };
        assertEquals("1".repeat(1000), outputOf(exact, "1".repeat(1000)));
        Failure failure = failureOf(exact, "1".repeat(1001));
        assertEquals(400, failure.status);
        assertTrue(failure.getMessage().contains("1001"), failure.getMessage());
    }
}
