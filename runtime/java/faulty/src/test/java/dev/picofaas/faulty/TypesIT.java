// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** Inputs and outputs by their types, with the modules of Jackson that a function brings. */
class TypesIT {
    private static final String VALUE = "{\"day\":\"2026-11-29\",\"at\":\"2026-11-29T10:00:00.5Z\",\"length\":\"PT1M\","
        + "\"name\":\"n\",\"price\":12.30,\"number\":123456789012345678901234567890,\"colour\":\"GREEN\","
        + "\"inner\":{\"day\":\"2024-02-29\",\"count\":3},\"more\":[{\"day\":null,\"count\":null}],"
        + "\"times\":{\"RED\":\"1970-01-01T00:00:00Z\"}}";

    @Test
    void datesOptionalsDecimalsEnumsAndRecordsComeInAndGoOut() throws Exception {
        try (Instance instance = Instance.of("types"); Wire wire = instance.connect()) {
            Wire.Message answer = wire.invoke("", "{\"input\":" + VALUE + "}");
            assertEquals(200, answer.status(), answer.body());
            assertEquals(VALUE.replace("10:00:00.5Z", "10:00:00.500Z"), answer.body().replace(".500000000Z", ".500Z"));
            Wire.Message wrong = wire.invoke("", "{\"input\":" + VALUE.replace("2024-02-29", "2023-02-29") + "}");
            assertEquals("400 BAD_INPUT", wrong.failure());
            assertTrue(wrong.message().startsWith("input.inner.day: "), wrong.message());
        }
    }

    @Test
    void aTypeThatCannotBeMadeIsTheFunctionsFaultAndNotTheClients() throws Exception {
        try (Instance instance = Instance.of("unmakeable"); Wire wire = instance.connect()) {
            Wire.Message answer = wire.invoke("", "{\"input\":{\"shapes\":[{}]}}");
            assertEquals("500 HANDLER_ERROR", answer.failure());
            assertTrue(answer.message().startsWith("the type of the input cannot be made from JSON: input.shapes[0]: "),
                answer.message());
            instance.lineWith("code=HANDLER_ERROR");
            assertEquals("400 BAD_INPUT", wire.invoke("", "{\"input\":{\"shapes\":7}}").failure());
        }
    }

    @Test
    void aTypeThatRefusesItsValuesAnswersForItself() throws Exception {
        try (Instance instance = Instance.of("checked"); Wire wire = instance.connect()) {
            assertEquals("400 BAD_INPUT", wire.invoke("", "{\"input\":{\"count\":-1}}").failure());
            Wire.Message chosen = wire.invoke("", "{\"input\":{\"count\":10}}");
            assertEquals("422 TOO_MANY", chosen.failure());
            assertEquals("at most 9", chosen.message());
            assertEquals("9", wire.invoke("", "{\"input\":{\"count\":9}}").body());
        }
    }

    @Test
    void aNumberThatIsNoneIsABadOutputWhereverItIs() throws Exception {
        try (Instance instance = Instance.of("nan"); Wire wire = instance.connect()) {
            for (String place : new String[] {"itself", "plain", "boxed", "many", "listed", "node", "any", "raw", "two",
                    "key", "key of floats", "key of numbers", "key of any"}) {
                assertEquals("500 BAD_OUTPUT", wire.invoke("", "{\"input\":\"" + place + "\"}").failure(), place);
            }
            assertEquals("{\"plain\":0.5,\"boxed\":1.0,\"many\":[1.0E300],\"listed\":[-0.0],\"node\":2.0,\"any\":\"NaN\"}",
                wire.invoke("", "{\"input\":\"nowhere\"}").body());
            assertEquals("[{\"0.5\":1},{\"-2.0\":1},{\"NaN\":1},{\"numbers\":{\"3\":1},\"any\":{\"4\":1}}]",
                wire.invoke("", "{\"input\":\"keys\"}").body());
        }
    }

    @Test
    void aPromiseOfAnOutputIsWaitedFor() throws Exception {
        try (Instance instance = Instance.of("later"); Wire wire = instance.connect()) {
            assertEquals("[7]", wire.invoke("", "{\"input\":[7]}").body());
            assertEquals("422 LATE", wire.invoke("", "{\"input\":\"fail\"}").failure());
            Wire.Message thrown = wire.invoke("", "{\"input\":\"throw\"}");
            assertEquals("500 HANDLER_ERROR", thrown.failure());
            assertEquals("thrown later", thrown.message());
        }
    }
}
