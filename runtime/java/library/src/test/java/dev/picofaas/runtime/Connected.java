// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelPromise;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.channel.socket.DuplexChannel;
import io.netty.handler.codec.http.HttpServerCodec;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

/** A connection of which one half can be closed, as those over sockets can. */
final class Connected extends EmbeddedChannel implements DuplexChannel {
    private boolean outputShutdown;

    Connected(Server server) {
        super(new HttpServerCodec(), new HttpConversation(server));
        freezeTime();
    }

    static Server server() throws StartException {
        FunctionHandler<RawJson, RawJson> never = new FunctionHandler<>() {
            @Override
            public RawJson handle(RawJson input, Context context) {
                throw new AssertionError("there is no body, and nothing to run");
            }
        };
        return new Server(new Program(never, 1000), 1000, new Standby(false), new ProcessAge());
    }

    void send(String text) {
        send(text.getBytes(StandardCharsets.UTF_8));
    }

    void send(byte[] bytes) {
        writeInbound(Unpooled.wrappedBuffer(bytes));
    }

    void pass(long ms) {
        advanceTimeBy(ms, TimeUnit.MILLISECONDS);
        runPendingTasks();
    }

    /** The next bytes that were written at once, or null. */
    byte[] batch() {
        ByteBuf piece = readOutbound();
        if (piece == null) {
            return null;
        }
        byte[] bytes = new byte[piece.readableBytes()];
        piece.readBytes(bytes);
        piece.release();
        return bytes;
    }

    /** All that was answered, or null. */
    String answer() {
        StringBuilder text = new StringBuilder();
        for (ByteBuf piece = readOutbound(); piece != null; piece = readOutbound()) {
            text.append(piece.toString(StandardCharsets.UTF_8));
            piece.release();
        }
        return text.isEmpty() ? null : text.toString();
    }

    @Override
    public boolean isInputShutdown() {
        return false;
    }

    @Override
    public ChannelFuture shutdownInput() {
        throw new UnsupportedOperationException();
    }

    @Override
    public ChannelFuture shutdownInput(ChannelPromise promise) {
        throw new UnsupportedOperationException();
    }

    @Override
    public boolean isOutputShutdown() {
        return outputShutdown;
    }

    @Override
    public ChannelFuture shutdownOutput() {
        outputShutdown = true;
        return newSucceededFuture();
    }

    @Override
    public ChannelFuture shutdownOutput(ChannelPromise promise) {
        throw new UnsupportedOperationException();
    }

    @Override
    public boolean isShutdown() {
        return false;
    }

    @Override
    public ChannelFuture shutdown() {
        throw new UnsupportedOperationException();
    }

    @Override
    public ChannelFuture shutdown(ChannelPromise promise) {
        throw new UnsupportedOperationException();
    }
}
