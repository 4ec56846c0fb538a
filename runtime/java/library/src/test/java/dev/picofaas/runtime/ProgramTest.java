// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.LocalDate;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** A program where the module that its types need is not on the class path. */
class ProgramTest {
    record Input(LocalDate day) {}

    private static Failure failureOf(FunctionHandler<?, ?> handler, String input) throws StartException {
        byte[] body = ("{\"input\":" + input + "}").getBytes(StandardCharsets.UTF_8);
        Program program = new Program(handler, 1000);
        Call call = new Call("e-1", null, null, null, 1, null, null);
        return assertThrows(Failure.class, () -> program.run(call, new Bytes(body, body.length)));
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
}
