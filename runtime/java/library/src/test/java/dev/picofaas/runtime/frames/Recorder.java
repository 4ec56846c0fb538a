// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.buffer.UnpooledByteBufAllocator;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** An instance's end, and a receiver that takes note of what it is told. An attempt's owner is its sequence. */
class Recorder implements InstanceEnd.Receiver<Integer> {
    static final long MS = 1_000_000;

    final InstanceEnd<Integer> end;
    final Map<Integer, RequestHead> heads = new HashMap<>();
    private final Map<Integer, Slot<Integer>> slots = new HashMap<>();
    private final List<String> events = new ArrayList<>();
    private final ByteBuf input = Unpooled.buffer();
    /** Bodies that are shown have at most so many bytes. */
    private static final int SHOWN_BYTES_MAX = 40;

    Recorder(int attemptsMax) {
        end = new InstanceEnd<>(attemptsMax, UnpooledByteBufAllocator.DEFAULT, this, 0);
    }

    /** An end that was greeted and has written its own greeting. */
    static Recorder open(int attemptsMax) {
        Recorder recorder = new Recorder(attemptsMax);
        recorder.read(Handmade.hello());
        recorder.write();
        return recorder;
    }

    /** All that it is told of some bytes. */
    List<String> read(byte[]... parts) {
        return readAt(0, parts);
    }

    List<String> readAt(long ms, byte[]... parts) {
        for (byte[] part : parts) {
            input.writeBytes(part);
        }
        end.read(ms * MS, input);
        input.discardReadBytes();
        return told();
    }

    List<String> told() {
        List<String> told = List.copyOf(events);
        events.clear();
        return told;
    }

    /** One batch as bytes. */
    byte[] write() {
        ByteBuf batch = end.outgoing();
        byte[] bytes = new byte[batch.readableBytes()];
        batch.readBytes(bytes);
        end.written();
        return bytes;
    }

    List<String> shown() {
        return Handmade.shown(write());
    }

    void answer(int sequence, String body) {
        answer(sequence, body.getBytes(StandardCharsets.UTF_8));
    }

    void answer(int sequence, byte[] body) {
        end.answer(slots.get(sequence), 200, -1, body, body.length);
    }

    void answerFirst(int sequence, int startMs, byte[] body) {
        end.answer(slots.get(sequence), 200, startMs, body, body.length);
    }

    @Override
    public void invoked(Slot<Integer> slot, RequestHead head, ByteBuf body, int bytes, boolean ends) {
        slot.owner = slot.sequence;
        slots.put(slot.sequence, slot);
        heads.put(slot.sequence, head);
        events.add("invoked " + slot.sequence + " " + text(body, bytes) + (ends ? "" : " …"));
    }

    @Override
    public void data(Integer owner, ByteBuf piece, int bytes, boolean ends) {
        events.add("data " + owner + " " + text(piece, bytes) + (ends ? "" : " …"));
    }

    private static String text(ByteBuf body, int bytes) {
        return bytes > SHOWN_BYTES_MAX ? bytes + " bytes"
            : body.toString(body.readerIndex(), bytes, StandardCharsets.UTF_8);
    }

    @Override
    public void left(Integer owner) {
        events.add("left " + owner);
    }

    @Override
    public void goingAway(int code, String text) {
        events.add("going away " + code + " " + text);
    }

    @Override
    public void closed(CloseReason reason) {
        events.add("closed " + reason);
    }
}
