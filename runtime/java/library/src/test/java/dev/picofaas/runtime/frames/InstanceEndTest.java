// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

import static dev.picofaas.runtime.frames.Handmade.concat;
import static dev.picofaas.runtime.frames.Handmade.field;
import static dev.picofaas.runtime.frames.Handmade.frame;
import static dev.picofaas.runtime.frames.Handmade.hello;
import static dev.picofaas.runtime.frames.Handmade.request;
import static dev.picofaas.runtime.frames.Handmade.small;
import static dev.picofaas.runtime.frames.Handmade.window;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The instance's end, against frames that were written by hand. */
class InstanceEndTest {
    private static final int DATA_BYTES = 16_384;

    private static byte[] cancel(int sequence) {
        return frame(Handmade.CANCEL, sequence, 0, (byte) 1);
    }

    private static byte[] data(int sequence, int flags, int bytes) {
        return frame(Handmade.DATA, sequence, flags, new byte[bytes]);
    }

    private static byte[] times(int count, byte[] part) {
        return concat(Collections.nCopies(count, part).toArray(byte[][]::new));
    }


    @Test
    void everyViolationEndsTheConnectionWithItsCodeAndStopsWhatRuns() {
        byte[] begun = request(2, 0, 70_000, 0);
        Map<CloseReason, List<byte[]>> cases = Map.of(
            CloseReason.FRAME_TOO_LONG, List.of(new byte[] {1, 0x50, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0}),
            CloseReason.UNKNOWN_KIND, List.of(frame(77, 1, 0x7f), frame(0, 0, 0), frame(9, 0, 0), frame(-1, 0, 0)),
            CloseReason.MISPLACED, List.of(hello(), frame(Handmade.DONE, 1, 0, (byte) 1)),
            CloseReason.MALFORMED, List.of(frame(Handmade.HEAD, 2, 1, new byte[63]), frame(Handmade.CANCEL, 1, 0),
                window(1, 0), frame(Handmade.WINDOW, 1, 0, new byte[3]), frame(Handmade.PING, 0, 0, new byte[7]),
                concat(begun, data(2, 0, 0)), frame(Handmade.GOAWAY, 0, 0, (byte) 1),
                frame(Handmade.GOAWAY, 0, 0, new byte[259]),
                frame(Handmade.GOAWAY, 0, 0, (byte) 0, (byte) 0, (byte) 0xff)),
            CloseReason.UNKNOWN_SEQUENCE, List.of(small(1), small(3), small(0), data(2, 0, 3), cancel(2), cancel(0),
                window(2, 1), frame(Handmade.GOAWAY, 1, 0, new byte[2])),
            CloseReason.DATA_AFTER_END, List.of(data(1, 0, 3),
                concat(request(2, 0, 1, 0), data(2, 1, 1), data(2, 1, 1))),
            CloseReason.WINDOW, List.of(concat(begun, times(4, data(2, 0, DATA_BYTES)), data(2, 0, 1)),
                window(1, 0xffff_ffffL - 65_535)),
            CloseReason.BODY_LENGTH, List.of(request(2, 1, 3, 0, (byte) 'a', (byte) 'b'),
                request(2, 0, 3, 0, (byte) 'a'), request(2, 1, -1, 0, (byte) 'a'), concat(begun, data(2, 1, 1)),
                concat(request(2, 0, 3, 0), data(2, 0, 4)), concat(request(2, 0, -2, 0), data(2, 1, 4))),
            CloseReason.TOO_MANY_ATTEMPTS, List.of(concat(small(2), small(3))));
        cases.forEach((reason, all) -> all.forEach(bytes -> {
            Recorder instance = Recorder.open(2);
            assertEquals(List.of("invoked 1 {}"), instance.read(small(1)));
            List<String> told = instance.read(bytes, small(2));
            assertEquals("closed " + reason, told.get(told.size() - 1), told.toString());
            assertEquals(1, Collections.frequency(told, "left 1"), told.toString());
            List<String> frames = instance.shown();
            assertEquals(1, frames.size(), frames.toString());
            String code = frames.get(0).split(" ")[3];
            assertTrue(frames.get(0).startsWith("GOAWAY ") && (code.startsWith(String.format("%02x00", reason.code))
                || frames.get(0).endsWith(" bytes")), reason + " " + frames);
            assertTrue(instance.end.isClosed());
            assertEquals(List.of(), instance.read(small(2)), "nothing runs after the end");
        }));
    }

    @Test
    void everyGreetingThatIsNoneEndsTheConnection() {
        byte[] unversioned = hello(0, 65_536, 20_480);
        for (byte[] bytes : List.of(unversioned, hello(1, DATA_BYTES - 1, 20_480), hello(1, 65_536, 8191))) {
            assertEquals(List.of("closed BAD_HELLO"), new Recorder(2).read(bytes));
        }
        assertEquals(List.of("closed MALFORMED"), new Recorder(2).read(frame(Handmade.HELLO, 0, 0, new byte[15])));
        for (byte[] bytes : List.of(small(1), frame(Handmade.PING, 0, 0, new byte[8]), cancel(1))) {
            assertEquals(List.of("closed MISPLACED"), new Recorder(2).read(bytes));
        }
        // The least, of a later version, which has more to say.
        assertEquals(List.of("invoked 1 {}"), new Recorder(2).read(hello(9, DATA_BYTES, 8192), small(1)));
        byte[] longer = concat(Handmade.hello(), new byte[4]);
        longer[0] += 4;
        assertEquals(List.of("invoked 1 {}"), new Recorder(2).read(longer, small(1)));
    }

    @Test
    void theCodesAreThoseOfThePage() {
        List<Integer> codes = new ArrayList<>();
        for (CloseReason reason : CloseReason.values()) {
            codes.add(reason.code);
        }
        assertEquals(List.of(0, 0, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11), codes);
    }

    @Test
    void fieldsAreReadByTheirNumbersAndThoseThatDoNotFillTheirPlaceAreMalformed() {
        byte[] fields = concat(field(200, ""), field(2, "k1"), field(1, "a=1"), field(2, "k2"), field(4, "t-1"),
            field(5, "01-x"), field(3, "text/plain"), field(16, "\1\0xy"));
        Recorder instance = Recorder.open(2);
        assertEquals(List.of("invoked 1 ab"), instance.read(request(1, 1, 2, fields.length, concat(fields,
            "ab".getBytes(StandardCharsets.UTF_8)))));
        RequestHead head = instance.heads.get(1);
        assertEquals(List.of("a=1", "k1", "t-1", "01-x"),
            List.of(head.traceState(), head.idempotencyKey(), head.traceName(), head.traceParent()));
        for (byte[] bad : List.of(request(1, 1, 0, 6, field(1, "ab")), request(1, 1, 0, 4, field(1, "ab")),
                request(1, 1, 0, 2, (byte) 1, (byte) 0), request(1, 1, 0, -1))) {
            assertEquals(List.of("closed MALFORMED"), Recorder.open(2).read(bad));
        }
    }

    @Test
    void bytesAreReadInAnyPieces() {
        byte[] bytes = concat(hello(), small(1), request(2, 0, 6, 0), data(2, 0, 3), frame(99, 4, 0x80, new byte[5]),
            data(2, 1, 3), cancel(1));
        List<String> whole = new Recorder(2).read(bytes);
        assertEquals(List.of("invoked 1 {}", "invoked 2  …", "data 2 \0\0\0 …", "data 2 \0\0\0", "left 1"), whole);
        Recorder instance = new Recorder(2);
        List<String> told = new ArrayList<>();
        for (byte one : bytes) {
            told.addAll(instance.read(new byte[] {one}));
        }
        assertEquals(whole, told);
    }

    @Test
    void aCancellationIsAcknowledgedAndOneThatMeetsTheAnswerIsDropped() {
        Recorder instance = Recorder.open(8);
        instance.read(small(1), small(2));
        instance.answer(1, "1");
        assertEquals(List.of("left 2"), instance.read(cancel(1), cancel(2), cancel(2)));
        instance.answer(2, "2");
        assertEquals(List.of("HEAD 1 1 c8000000010000000000000000000000" + "31", "DONE 2 0 01"), instance.shown());
        assertFalse(instance.end.hasOutgoing());
    }

    @Test
    void anAnswerThatIsCancelledWhileItIsSentStopsWithDone() {
        Recorder instance = Recorder.open(8);
        instance.read(small(1));
        instance.answer(1, new byte[100_000]);
        assertEquals(4, instance.shown().size(), "a head, and 64 KiB at once less a head in pieces");
        assertEquals(List.of("DATA 1 0 16384 bytes"), instance.shown(), "the window is used up");
        assertFalse(instance.end.hasOutgoing());
        assertEquals(List.of(), instance.read(cancel(1)), "its receiver has answered");
        assertEquals(List.of("DONE 1 0 01"), instance.shown());
        assertEquals(List.of(), instance.read(window(1, 100_000), data(1, 1, 1)));
        assertFalse(instance.end.hasOutgoing());
    }

    @Test
    void largeAnswersTakeTurnsAndSmallOnesAreNotBehindThem() {
        Recorder instance = Recorder.open(8);
        instance.read(small(1), small(2), small(3));
        instance.answer(1, new byte[40_000]);
        instance.answer(2, new byte[20_481 - 16]);
        instance.answer(3, new byte[1]);
        assertEquals(List.of("HEAD 1 0 c8000000409c00000000000000000000", "HEAD 2 0 c8000000f14f00000000000000000000",
            "HEAD 3 1 c800000001000000000000000000000000", "DATA 1 0 16384 bytes", "DATA 2 0 16384 bytes",
            "DATA 1 0 16384 bytes"), instance.shown());
        assertEquals(List.of("DATA 2 1 4081 bytes", "DATA 1 1 7232 bytes"), instance.shown());
        instance.read(small(4));
        instance.answer(4, new byte[20_480 - 16]);
        assertEquals(List.of("HEAD 4 1 20480 bytes"), instance.shown(), "the longest that fits");
    }

    @Test
    void anAnswerHasNoMoreThanTheWindowAndGoesOnWhenItIsWidened() {
        Recorder instance = new Recorder(8);
        instance.read(hello(1, DATA_BYTES, 8192), small(1));
        instance.write();
        instance.answer(1, new byte[20_000]);
        assertEquals(List.of("HEAD 1 0 c8000000204e00000000000000000000", "DATA 1 0 8192 bytes", "DATA 1 0 8192 bytes"),
            instance.shown());
        assertFalse(instance.end.hasOutgoing());
        instance.read(window(1, 10), window(1, 1));
        assertEquals(List.of("DATA 1 0 " + "00".repeat(11)), instance.shown());
        instance.read(window(1, 100_000));
        assertEquals(List.of("DATA 1 1 3605 bytes"), instance.shown());
        assertEquals(List.of(), instance.read(window(1, 1)), "on its way when the end was written");
    }

    @Test
    void consumedBytesAreAllowedAgainByHalvesOfTheWindow() {
        Recorder instance = Recorder.open(8);
        instance.read(request(1, 0, 200_000, 0), data(1, 0, DATA_BYTES));
        assertFalse(instance.end.hasOutgoing());
        instance.read(data(1, 0, DATA_BYTES));
        assertEquals(List.of("WINDOW 1 0 00800000"), instance.shown());
        // Less than a window is open at any time, however much was consumed without being allowed again.
        instance.read(times(4, data(1, 0, DATA_BYTES)));
        List<String> told = instance.read(data(1, 0, 1));
        assertEquals("closed WINDOW", told.get(told.size() - 1));
    }

    @Test
    void anAnswerBeforeTheEndOfTheRequestDropsTheRestOfIt() {
        for (int bytes : new int[] {2, 100_000}) {
            Recorder instance = Recorder.open(8);
            instance.read(request(1, 0, 6, 0), data(1, 0, 3));
            instance.answer(1, new byte[bytes]);
            assertEquals(List.of(), instance.read(data(1, 1, 3)));
        }
    }

    @Test
    void whoGoesAwayRunsWhatItHasTakenAndDropsWhatComesAfter() {
        Recorder instance = Recorder.open(8);
        instance.read(small(1));
        instance.end.goAway("drain");
        instance.end.goAway("again");
        assertEquals(List.of(), instance.read(request(2, 0, 3, 0), data(2, 1, 3), small(3), cancel(3)));
        instance.answer(1, "1");
        assertFalse(instance.end.isDrained());
        assertEquals(List.of("GOAWAY 1 0 0000647261696e", "HEAD 1 1 c800000001000000000000000000000031"),
            instance.shown());
        assertTrue(instance.end.isDrained());
        List<String> told = instance.read(small(9));
        assertEquals(List.of("closed UNKNOWN_SEQUENCE"), told);
        assertTrue(instance.shown().get(0).startsWith("GOAWAY 1 "), "no higher than the first");
    }

    @Test
    void answersThatAreNotWrittenCountAsOut() {
        Recorder instance = Recorder.open(2);
        instance.read(small(1), small(2));
        instance.answer(1, "1");
        instance.end.outgoing();
        instance.answer(2, "2");
        instance.end.written();
        assertEquals(List.of("invoked 3 {}"), instance.read(small(3)), "the first was written");
        assertEquals(List.of("left 3", "closed TOO_MANY_ATTEMPTS"), instance.read(small(4)));
    }

    @Test
    void nothingThatWaitedIsWrittenAfterAViolationAndNothingAtAllBehindPartOfABatch() {
        Recorder instance = Recorder.open(8);
        instance.read(small(1), small(2));
        instance.answer(1, "1");
        instance.read(small(7));
        assertEquals(1, instance.shown().size(), "the GOAWAY alone");
        instance = Recorder.open(8);
        instance.read(small(1));
        instance.answer(1, "1");
        instance.end.outgoing();
        instance.read(small(7));
        assertFalse(instance.end.hasOutgoing());
    }

    @Test
    void onlyTheLastOfSeveralPingsIsAnsweredAndFramesThatMayBeSkippedAre() {
        Recorder instance = Recorder.open(8);
        byte[] one = {1, 1, 1, 1, 1, 1, 1, 1};
        byte[] two = {2, 2, 2, 2, 2, 2, 2, 2, 9};
        instance.read(frame(Handmade.PING, 0, 0, one), frame(99, 4, 0x80, one), frame(Handmade.PING, 0, 0x7c, two));
        assertEquals(List.of("PING 0 2 0202020202020202"), instance.shown());
        instance.read(frame(Handmade.PING, 0, 2, one));
        assertFalse(instance.end.hasOutgoing());
    }

    @Test
    void theWordsOfAGatewayThatClosesAreTold() {
        byte[] payload = concat(new byte[] {9, 0}, "zü".getBytes(StandardCharsets.UTF_8));
        assertEquals(List.of("going away 9 zü"), Recorder.open(8).read(frame(Handmade.GOAWAY, 0, 0, payload)));
    }

    @Test
    void silenceWhileAttemptsAreOutAsksForASignOfLifeAndThenIsALoss() {
        Recorder instance = Recorder.open(8);
        assertEquals(InstanceEnd.NEVER, instance.end.deadlineNs(), "an idle connection stays");
        instance.readAt(5000, small(1));
        assertEquals(6000 * Recorder.MS, instance.end.deadlineNs());
        instance.end.judge(5999 * Recorder.MS);
        assertFalse(instance.end.hasOutgoing());
        instance.end.judge(6000 * Recorder.MS);
        assertEquals(List.of("PING 0 0 0100000000000000"), instance.shown());
        assertEquals(8000 * Recorder.MS, instance.end.deadlineNs());
        instance.readAt(7999, frame(Handmade.PING, 0, 2, new byte[8]));
        assertEquals(8999 * Recorder.MS, instance.end.deadlineNs());
        instance.end.judge(8999 * Recorder.MS);
        assertEquals(List.of("PING 0 0 0200000000000000"), instance.shown());
        instance.end.judge(10_998 * Recorder.MS);
        assertEquals(List.of(), instance.told());
        instance.end.judge(10_999 * Recorder.MS);
        assertEquals(List.of("left 1", "closed SILENT"), instance.told());
        assertEquals(InstanceEnd.NEVER, instance.end.deadlineNs());
    }

    @Test
    void aFrameMayBeHalfReceivedFor2sAndEachHasItsOwn() {
        Recorder instance = Recorder.open(8);
        byte[] half = {2, 0, 0, 0, 7, 0, 0};
        instance.readAt(1000, half);
        assertEquals(3000 * Recorder.MS, instance.end.deadlineNs());
        instance.readAt(2500, new byte[] {0, 99, (byte) 0x80, 0, 0, 1});
        instance.end.judge(2999 * Recorder.MS);
        assertEquals(List.of(), instance.readAt(2999, new byte[] {1, 5}), "it is whole, and another is begun");
        assertEquals(4999 * Recorder.MS, instance.end.deadlineNs());
        instance.end.judge(4999 * Recorder.MS);
        assertEquals(List.of("closed HALF_FRAME"), instance.told());
        assertTrue(instance.shown().get(0).startsWith("GOAWAY 0 0 "));
    }

    @Test
    void anEndThatDoesNotGreetInTimeIsLeftWhateverElseItSays() {
        Recorder instance = new Recorder(8);
        instance.readAt(1500, frame(99, 0, 0x80), new byte[] {16});
        assertEquals(2000 * Recorder.MS, instance.end.deadlineNs());
        instance.end.judge(2000 * Recorder.MS);
        assertEquals(List.of("closed HALF_FRAME"), instance.told());
    }

    @Test
    void aLossIsToldToEachAttemptThatRunsAndToNoOther() {
        Recorder instance = Recorder.open(8);
        instance.read(small(1), small(2), small(3), small(4));
        instance.answer(1, "1");
        instance.answer(2, new byte[100_000]);
        instance.read(cancel(3));
        instance.end.disconnected();
        assertEquals(List.of("left 4", "closed DISCONNECTED"), instance.told());
        instance.answer(4, "4");
        assertFalse(instance.end.hasOutgoing());
    }
}
