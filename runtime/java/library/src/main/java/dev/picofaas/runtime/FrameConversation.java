// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import dev.picofaas.runtime.frames.CloseReason;
import dev.picofaas.runtime.frames.InstanceEnd;
import dev.picofaas.runtime.frames.RequestHead;
import dev.picofaas.runtime.frames.Slot;
import io.netty.buffer.ByteBuf;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * One connection that speaks frames, from the 101 to close: many attempts at once, answered in any order. The event
 * loop reads and writes whatever handlers do, so a gateway gets its signs of life.
 */
final class FrameConversation extends ChannelInboundHandlerAdapter
        implements Conversation, InstanceEnd.Receiver<Invocation> {
    private static final int REST_BYTES_AT_FIRST = 4096;
    private static final long LOOK_AGAIN_NS = 2_000_000;

    private final Server server;
    private final long openedNs = System.nanoTime();
    private ChannelHandlerContext context;
    private InstanceEnd<Invocation> end;
    /** Begins with a part of a frame, or is empty. */
    private ByteBuf rest;
    private boolean isFlushDue;
    /** Looks whether the gateway lives; null where nothing is waited for. */
    private Future<?> timer;
    private long timerNs;
    /** The last frame was given; what still comes is dropped. */
    private boolean isEnding;

    FrameConversation(Server server) {
        this.server = server;
    }

    @Override
    public void handlerAdded(ChannelHandlerContext context) {
        this.context = context;
        end = new InstanceEnd<>(Limits.FRAME_ATTEMPTS_MAX, context.alloc(), this, nowNs());
        rest = context.alloc().buffer(REST_BYTES_AT_FIRST);
    }

    /** Greets; what was spoken before is over. */
    void begin() {
        if (server.draining()) {
            drain();
        }
        flush();
        watch();
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        server.arrived();
        ByteBuf bytes = (ByteBuf) message;
        try {
            if (isEnding) {
                return;
            }
            if (rest.isReadable()) {
                rest.writeBytes(bytes);
                end.read(nowNs(), rest);
                rest.discardReadBytes();
            } else {
                end.read(nowNs(), bytes);
                rest.clear().writeBytes(bytes);
            }
        } finally {
            bytes.release();
        }
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext context) {
        flush();
        watch();
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        isEnding = true;
        end.disconnected();
        if (timer != null) {
            timer.cancel(false);
        }
        server.closed(this);
    }

    @Override
    public void handlerRemoved(ChannelHandlerContext context) {
        rest.release();
        end.release();
    }

    @Override
    public void invoked(Slot<Invocation> slot, RequestHead head, ByteBuf input, int bytes, boolean ends) {
        Invocation invocation = new Invocation(server, this, context.executor(), new FrameHeaders(head),
            (status, body) -> answer(slot, status, body));
        slot.owner = invocation;
        if (Long.compareUnsigned(head.bodyBytes(), server.bodyBytesMax) > 0) {
            invocation.refuse(Failure.bodyTooLarge(server.bodyBytesMax));
            return;
        }
        if (!ends) {
            invocation.body.await(context.executor(), () -> invocation.refuse(Failure.bodyLate()));
        }
        data(invocation, input, bytes, ends);
    }

    @Override
    public void data(Invocation invocation, ByteBuf input, int bytes, boolean ends) {
        if (!invocation.body.append(input, bytes, ends)) {
            invocation.refuse(Failure.bodyTooLarge(server.bodyBytesMax));
        } else if (ends) {
            invocation.run();
        }
    }

    @Override
    public void left(Invocation invocation) {
        invocation.leave();
    }

    @Override
    public void goingAway(int code, String text) {
        if (code != 0) {
            Log.line("warning the gateway closes a connection: code " + code + ", " + Text.quoted(text));
        }
    }

    @Override
    public void closed(CloseReason reason) {
        if (reason != CloseReason.DISCONNECTED) {
            Log.line("warning a connection was closed: " + reason.text);
        }
    }

    private void answer(Slot<Invocation> slot, int status, Bytes body) {
        Long initMs = server.takeInitMs();
        end.answer(slot, status, initMs == null ? -1 : initMs, body.array(), body.length());
        if (!isFlushDue) {
            isFlushDue = true;
            // Behind all answers that are ready now.
            context.executor().execute(this::flush);
        }
    }

    /** Writes all that waits as one batch; what comes meanwhile is the next. */
    private void flush() {
        isFlushDue = false;
        while (!isEnding && !end.isWriting() && end.hasOutgoing()) {
            ByteBuf batch = end.outgoing();
            ChannelFuture future = context.writeAndFlush(batch.retainedDuplicate());
            if (future.isSuccess()) {
                end.written();
            } else {
                future.addListener(this::writtenLate);
            }
        }
        if (isEnding || !end.isClosed() && !end.isDrained()) {
            return;
        }
        isEnding = true;
        if (end.isWriting()) {
            // A frame may be written in part, so no other can follow.
            context.close();
        } else {
            Conversation.linger(context);
        }
    }

    /** Nothing more is written where that failed: the channel is closed, then. */
    private void writtenLate(Future<?> future) {
        if (!isEnding && future.isSuccess()) {
            end.written();
            flush();
        }
    }

    /** Has the silence judged when that may have changed something. */
    private void watch() {
        long atNs = end.deadlineNs();
        if (isEnding || atNs == InstanceEnd.NEVER || timer != null && timerNs <= atNs) {
            return;
        }
        if (timer != null) {
            timer.cancel(false);
        }
        look(atNs, Math.max(0, atNs - nowNs()));
    }

    private void look(long atNs, long inNs) {
        timerNs = atNs;
        timer = context.executor().schedule(this::judge, inNs, TimeUnit.NANOSECONDS);
    }

    private void judge() {
        long nowNs = nowNs();
        timer = null;
        if (isEnding) {
            return;
        }
        if (nowNs - timerNs > Limits.HELD_UP_MS * 1_000_000) {
            // Frames that came while this process was held up are read first: the timer's end lies behind another look.
            look(nowNs + LOOK_AGAIN_NS, LOOK_AGAIN_NS);
            return;
        }
        end.judge(nowNs);
        flush();
        watch();
    }

    /** Takes no more attempts, and closes when those that were taken are answered. */
    @Override
    public void drain() {
        end.goAway("drain");
        flush();
    }

    private long nowNs() {
        return System.nanoTime() - openedNs;
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        Conversation.caught(context, cause);
    }
}
