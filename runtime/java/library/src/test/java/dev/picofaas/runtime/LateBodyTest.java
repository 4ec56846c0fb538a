// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelPromise;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.channel.socket.DuplexChannel;
import io.netty.handler.codec.http.HttpServerCodec;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** A body that does not come in time, on a clock that stands still until it is told to go on. */
class LateBodyTest {
    private static final String HEAD =
        "POST /invoke HTTP/1.1\r\nhost: fn\r\nx-execution-id: e-1\r\ncontent-length: 12\r\n\r\n";

    /** A connection of which one half can be closed, as those over sockets can. */
    private static final class Connected extends EmbeddedChannel implements DuplexChannel {
        private boolean outputShutdown;

        Connected(Server server) {
            super(new HttpServerCodec(), new Conversation(server));
            freezeTime();
        }

        void send(String text) {
            writeInbound(Unpooled.copiedBuffer(text, StandardCharsets.UTF_8));
        }

        void pass(long ms) {
            advanceTimeBy(ms, TimeUnit.MILLISECONDS);
            runPendingTasks();
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

    private static Server server() throws StartException {
        FunctionHandler<RawJson, RawJson> never = new FunctionHandler<>() {
            @Override
            public RawJson handle(RawJson input, Context context) {
                throw new AssertionError("there is no body, and nothing to run");
            }
        };
        return new Server(new Program(never, 1000), 1000);
    }

    @Test
    void aBodyThatDoesNotComeInTimeIs408AndTheConnectionIsClosed() throws StartException {
        Server server = server();
        Connected connected = new Connected(server);
        connected.send(HEAD + "{\"inp");
        connected.pass(Limits.BODY_READ_MS_MAX - 1);
        assertNull(connected.answer());
        connected.pass(1);
        String answer = connected.answer();
        assertTrue(answer.startsWith("HTTP/1.1 408 Request Timeout\r\n"), answer);
        assertTrue(answer.contains("\"code\":\"BODY_TIMEOUT\"") && answer.contains("connection: close\r\n"), answer);
        assertTrue(connected.isOutputShutdown());
        // The rest, which comes too late, is read, so that closing does not take the answer back.
        connected.send("ut\":1}");
        assertTrue(connected.isOpen());
        connected.pass(Limits.LINGER_MS);
        assertNull(connected.answer());
        assertFalse(connected.isOpen());
        assertEquals(0, server.metrics.inFlight());
    }

    @Test
    void aTimeThatRunsOutBetweenRequestsHarmsNoConnection() throws StartException {
        Connected connected = new Connected(server());
        connected.send("GET /health HTTP/1.1\r\nhost: fn\r\n\r\n");
        assertTrue(connected.answer().startsWith("HTTP/1.1 200 "));
        connected.pass(Limits.BODY_READ_MS_MAX);
        assertNull(connected.answer());
        connected.send("GET /health HTTP/1.1\r\nhost: fn\r\n\r\n");
        assertTrue(connected.answer().startsWith("HTTP/1.1 200 "));
    }
}
