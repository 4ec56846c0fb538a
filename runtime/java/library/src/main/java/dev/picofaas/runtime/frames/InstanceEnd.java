// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime.frames;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufAllocator;
import io.netty.util.collection.IntObjectHashMap;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;

/**
 * The instance's end of a connection that speaks frames (docs/frames.md), after its 101. It has no I/O, no threads and
 * no clock: bytes and times come in, calls to its receiver and bytes to be written come out. All of it belongs to one
 * thread.
 *
 * @param <T> of what the receiver keeps of an attempt
 */
public final class InstanceEnd<T> {
    /** The protocol as it is named in the header Upgrade. */
    public static final String PROTOCOL = "picofaas-frames/1";
    /** No time. */
    public static final long NEVER = Liveness.NEVER;

    /** Bytes before which bodies wait as references and are not copied. What is above it are heads, one per attempt. */
    private static final int QUEUED_BYTES_MAX = 65_536;
    /** Bytes of body that go inside of a HEAD however much is queued. A longer one waits as a reference then. */
    private static final int INSIDE_BYTES_ALWAYS = 1024;
    /** The most that an attempt adds in its turn: a WINDOW and a DATA. */
    private static final int TURN_BYTES_MAX = 2 * Frame.HEAD_BYTES + Integer.BYTES + Frame.DATA_BYTES_MAX;
    private static final int ANSWER_FIXED_BYTES = 16;
    private static final int COLD_START = 1;
    private static final int COLD_START_BYTES = 7;
    private static final int PING_BYTES = 8;
    private static final int CANCELLED = 1;
    private static final int GOAWAY_TEXT_BYTES_MAX = 256;

    /** The one who runs attempts. What it is told it is told while the end reads or judges; it may answer then. */
    public interface Receiver<T> {
        /** An attempt began, with so many bytes of its body, which are at the front of the input. */
        void invoked(Slot<T> slot, RequestHead head, ByteBuf input, int bytes, boolean ends);

        /** The next bytes of its body. They are consumed with this call. */
        void data(T owner, ByteBuf input, int bytes, boolean ends);

        /** Nobody wants its answer any more: it was cancelled, or lost with the connection. It is over. */
        void left(T owner);

        /** The gateway will close the connection. */
        void goingAway(int code, String text);

        /** It is over: what is to be written yet is written, if it can be, and the connection closed. */
        void closed(CloseReason reason);
    }

    private final int attemptsMax;
    private final Receiver<T> receiver;
    private final Outbox outbox;
    private final Liveness liveness;
    private final IntObjectHashMap<Slot<T>> slots = new IntObjectHashMap<>();
    /** Attempts with something to send. Each is in it once; those that are over are skipped. */
    private final Deque<Slot<T>> line = new ArrayDeque<>();
    /** Null until it came. */
    private Hello peer;
    /** The greatest sequence that was used, without a sign. */
    private int newest;
    /** This end is going away and runs nothing after this sequence. */
    private boolean isGoing;
    private int last;
    private CloseReason reason;
    /** A PING is to be answered. One that comes before it could be replaces it. */
    private boolean hasAck;
    private long ack;
    private long pings;

    public InstanceEnd(int attemptsMax, ByteBufAllocator allocator, Receiver<T> receiver, long nowNs) {
        this.attemptsMax = attemptsMax;
        this.receiver = receiver;
        outbox = new Outbox(allocator);
        liveness = new Liveness(nowNs);
        Hello.write(outbox.begin(Kind.HELLO, 0, 0, Hello.BYTES), attemptsMax);
    }

    /** Takes all whole frames; less than one is left of the input, and nothing once it is over. */
    public void read(long nowNs, ByteBuf input) {
        if (reason == null) {
            liveness.heard(nowNs);
            try {
                boolean hasTaken = false;
                while (takeFrame(nowNs, input)) {
                    hasTaken = true;
                }
                liveness.left(nowNs, peer == null || input.isReadable(), peer == null || !hasTaken);
            } catch (Breach breach) {
                close(breach.reason);
            }
        }
        if (reason != null) {
            input.skipBytes(input.readableBytes());
        }
    }

    private boolean takeFrame(long nowNs, ByteBuf input) throws Breach {
        if (input.readableBytes() < Frame.HEAD_BYTES) {
            return false;
        }
        int at = input.readerIndex();
        long bytes = input.getUnsignedIntLE(at);
        if (bytes > Frame.PAYLOAD_BYTES_MAX) {
            throw new Breach(CloseReason.FRAME_TOO_LONG);
        }
        Kind kind = Kind.of(input.getUnsignedByte(at + Frame.KIND_AT));
        int flags = input.getUnsignedByte(at + Frame.FLAGS_AT);
        if (kind == null && !Frame.has(flags, Frame.IGNORABLE)) {
            throw new Breach(CloseReason.UNKNOWN_KIND);
        }
        if (input.readableBytes() < Frame.HEAD_BYTES + bytes) {
            return false;
        }
        input.skipBytes(Frame.HEAD_BYTES);
        int end = input.readerIndex() + (int) bytes;
        if (kind != null) {
            take(nowNs, kind, input.getIntLE(at + Frame.SEQUENCE_AT), flags, input, (int) bytes);
        }
        input.readerIndex(end);
        return true;
    }

    private void take(long nowNs, Kind kind, int sequence, int flags, ByteBuf input, int bytes) throws Breach {
        if ((kind == Kind.HELLO) != (peer == null)) {
            throw new Breach(CloseReason.MISPLACED);
        }
        boolean ends = Frame.has(flags, Frame.END);
        switch (kind) {
            case HELLO -> peer = Hello.read(input, bytes);
            case HEAD -> request(nowNs, sequence, ends, input, bytes);
            case DATA -> data(sequence, ends, input, bytes);
            case WINDOW -> window(sequence, input, bytes);
            case CANCEL -> cancel(sequence, bytes);
            case DONE -> throw new Breach(CloseReason.MISPLACED);
            case PING -> ping(flags, input, bytes);
            case GOAWAY -> gatewayGoesAway(sequence, input, bytes);
        }
    }

    private void request(long nowNs, int sequence, boolean ends, ByteBuf input, int bytes) throws Breach {
        if (sequence == 0 || sequence != newest + 1) {
            throw new Breach(CloseReason.UNKNOWN_SEQUENCE);
        }
        int end = input.readerIndex() + bytes;
        RequestHead head = RequestHead.read(input, bytes, ends);
        if (isGoing) {
            // It was on its way, and the gateway sends it elsewhere.
            newest = sequence;
            return;
        }
        if (slots.size() + outbox.ends() >= attemptsMax) {
            throw new Breach(CloseReason.TOO_MANY_ATTEMPTS);
        }
        newest = sequence;
        if (slots.isEmpty()) {
            liveness.heard(nowNs);
        }
        Slot<T> slot = new Slot<>(sequence, peer.windowBytes());
        slots.put(sequence, slot);
        if (!ends) {
            slot.expect(head.bodyBytes());
        }
        receiver.invoked(slot, head, input, end - input.readerIndex(), ends);
    }

    private void data(int sequence, boolean ends, ByteBuf input, int bytes) throws Breach {
        Slot<T> slot = slot(sequence);
        if (slot == null) {
            return;
        }
        slot.received(bytes, ends);
        if (slot.state == Slot.State.RUNNING) {
            receiver.data(slot.owner, input, bytes, ends);
            slot.consumed(bytes);
            enterLine(slot);
        }
    }

    private void window(int sequence, ByteBuf input, int bytes) throws Breach {
        long more = bytes < Integer.BYTES ? 0 : input.readUnsignedIntLE();
        if (more == 0) {
            throw new Breach(CloseReason.MALFORMED);
        }
        Slot<T> slot = slot(sequence);
        if (slot != null) {
            slot.widen(more);
            enterLine(slot);
        }
    }

    private void cancel(int sequence, int bytes) throws Breach {
        if (bytes < 1) {
            throw new Breach(CloseReason.MALFORMED);
        }
        Slot<T> slot = slot(sequence);
        if (slot == null) {
            return;
        }
        boolean isRunning = slot.state == Slot.State.RUNNING;
        outbox.begin(Kind.DONE, sequence, 0, 1).writeByte(CANCELLED);
        retire(slot);
        if (isRunning) {
            receiver.left(slot.owner);
        }
    }

    private void ping(int flags, ByteBuf input, int bytes) throws Breach {
        if (bytes < PING_BYTES) {
            throw new Breach(CloseReason.MALFORMED);
        }
        if (!Frame.has(flags, Frame.ACK)) {
            ack = input.readLongLE();
            hasAck = true;
        }
    }

    private void gatewayGoesAway(int sequence, ByteBuf input, int bytes) throws Breach {
        if (bytes < Short.BYTES || bytes > Short.BYTES + GOAWAY_TEXT_BYTES_MAX) {
            throw new Breach(CloseReason.MALFORMED);
        }
        if (sequence != 0) {
            throw new Breach(CloseReason.UNKNOWN_SEQUENCE);
        }
        int code = input.readUnsignedShortLE();
        byte[] text = new byte[bytes - Short.BYTES];
        input.readBytes(text);
        try {
            receiver.goingAway(code, StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(text)).toString());
        } catch (CharacterCodingException notText) {
            throw new Breach(CloseReason.MALFORMED);
        }
    }

    /** The attempt of a sequence, which must have begun; null where it is over. */
    private Slot<T> slot(int sequence) throws Breach {
        Slot<T> slot = slots.get(sequence);
        if (slot == null && (sequence == 0 || Integer.compareUnsigned(sequence, newest) > 0)) {
            throw new Breach(CloseReason.UNKNOWN_SEQUENCE);
        }
        return slot;
    }

    /** Judges the silence until now. */
    public void judge(long nowNs) {
        if (reason != null) {
            return;
        }
        switch (liveness.judge(nowNs, !slots.isEmpty())) {
            case ALIVE -> { }
            case ASK -> outbox.begin(Kind.PING, 0, 0, PING_BYTES).writeLongLE(++pings);
            case SILENT -> close(CloseReason.SILENT);
            case HALF_FRAME -> close(CloseReason.HALF_FRAME);
        }
    }

    /** When {@link #judge} is to be called if nothing is read before, or {@link #NEVER}. */
    public long deadlineNs() {
        return reason == null ? liveness.deadlineNs(!slots.isEmpty()) : NEVER;
    }

    /**
     * Queues an answer, whose body is kept as a reference while it waits. Nothing happens where the attempt is over.
     *
     * @param coldStartMs the process took to start, where this is its first answer, else -1
     */
    public void answer(Slot<T> slot, int status, long coldStartMs, byte[] body, int length) {
        if (slot.state != Slot.State.RUNNING) {
            return;
        }
        int fieldsBytes = coldStartMs < 0 ? 0 : COLD_START_BYTES;
        int headBytes = ANSWER_FIXED_BYTES + fieldsBytes;
        boolean isInside = headBytes + length <= peer.payloadBytesMax()
            && (length <= INSIDE_BYTES_ALWAYS || outbox.bytes() + length <= QUEUED_BYTES_MAX);
        ByteBuf output = outbox.begin(Kind.HEAD, slot.sequence, isInside ? Frame.END : 0,
            headBytes + (isInside ? length : 0));
        output.writeShortLE(status).writeShortLE(0).writeLongLE(length).writeIntLE(fieldsBytes);
        if (coldStartMs >= 0) {
            output.writeByte(COLD_START).writeShortLE(Integer.BYTES)
                .writeIntLE((int) Math.min(coldStartMs, 0xffff_ffffL));
        }
        if (isInside) {
            output.writeBytes(body, 0, length);
            retire(slot);
        } else {
            slot.send(body, length);
            enterLine(slot);
        }
    }

    /** Takes no attempts any more. Those that are out go on. */
    public void goAway(String text) {
        if (!isGoing && reason == null) {
            isGoing = true;
            last = newest;
            outbox.goAway(last, 0, text);
        }
    }

    /** Takes note that the connection is gone. */
    public void disconnected() {
        close(CloseReason.DISCONNECTED);
    }

    private void close(CloseReason why) {
        if (reason != null) {
            return;
        }
        reason = why;
        hasAck = false;
        line.clear();
        outbox.drop();
        // Nothing may follow a frame that was perhaps written in part.
        if (!outbox.isWriting() && why != CloseReason.DISCONNECTED) {
            outbox.goAway(isGoing ? last : newest, why.code, why.text);
        }
        for (Slot<T> slot : List.copyOf(slots.values())) {
            boolean isRunning = slot.state == Slot.State.RUNNING;
            slots.remove(slot.sequence);
            slot.end();
            if (isRunning) {
                receiver.left(slot.owner);
            }
        }
        receiver.closed(why);
    }

    /** Whether {@link #outgoing} has something. It must not be called while a batch is written. */
    public boolean hasOutgoing() {
        return outbox.hasWaiting() || hasAck || !line.isEmpty();
    }

    /**
     * All that is to be written, queued by this call; at most 64 KiB of it are pieces of bodies. It may be empty.
     * {@link #written} follows when it was.
     */
    public ByteBuf outgoing() {
        if (hasAck) {
            hasAck = false;
            outbox.begin(Kind.PING, 0, Frame.ACK, PING_BYTES).writeLongLE(ack);
        }
        while (!line.isEmpty() && outbox.bytes() + TURN_BYTES_MAX <= QUEUED_BYTES_MAX) {
            takeTurn(line.poll());
        }
        return outbox.take();
    }

    /** All of {@link #outgoing} was written. */
    public void written() {
        outbox.written();
    }

    /** Puts an attempt at the end of the line if it has something to send. */
    private void enterLine(Slot<T> slot) {
        if (!slot.isInLine && (slot.hasPiece() || slot.owes() && slot.state == Slot.State.RUNNING)) {
            slot.isInLine = true;
            line.add(slot);
        }
    }

    /** Queues what one attempt may send in its turn: bytes that the gateway is allowed, and a piece of a body. */
    private void takeTurn(Slot<T> slot) {
        slot.isInLine = false;
        if (slot.state == Slot.State.RUNNING && slot.owes()) {
            outbox.begin(Kind.WINDOW, slot.sequence, 0, Integer.BYTES).writeIntLE(slot.give());
        }
        if (slot.hasPiece()) {
            int bytes = slot.pieceBytes(Math.min(Frame.DATA_BYTES_MAX, peer.payloadBytesMax()));
            boolean isLast = slot.isLast(bytes);
            slot.writePiece(outbox.begin(Kind.DATA, slot.sequence, isLast ? Frame.END : 0, bytes), bytes);
            if (isLast) {
                retire(slot);
            }
        }
        enterLine(slot);
    }

    /** Takes an attempt out whose end was queued. */
    private void retire(Slot<T> slot) {
        slots.remove(slot.sequence);
        slot.end();
        outbox.ended();
    }

    /** Whether a batch is being written. */
    public boolean isWriting() {
        return outbox.isWriting();
    }

    public boolean isClosed() {
        return reason != null;
    }

    /** Whether it went away and nothing is left to be answered or written: it may be closed. */
    public boolean isDrained() {
        return isGoing && slots.isEmpty() && !hasOutgoing() && !outbox.isWriting();
    }

    /** Lets its memory go. Nothing may be called after it. */
    public void release() {
        outbox.release();
    }
}
