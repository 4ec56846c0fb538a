// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.socket.DuplexChannel;
import java.io.IOException;
import java.util.concurrent.TimeUnit;

/** One connection, whatever is spoken over it. */
interface Conversation {
    /** The instance is stopping: answer what was asked, and close. */
    void drain();

    /** Closing with something unread could take the last answer back: the peer closes, or time runs out. */
    static void linger(ChannelHandlerContext context) {
        ((DuplexChannel) context.channel()).shutdownOutput();
        context.executor().schedule(() -> context.close(), Limits.LINGER_MS, TimeUnit.MILLISECONDS);
    }

    /** A peer that goes away is its own business; a fault of ours costs its connection and no more. */
    static void caught(ChannelHandlerContext context, Throwable cause) {
        if (!(cause instanceof IOException)) {
            Log.line("error a connection ended in a fault of the runtime: " + Log.stack(cause).strip());
        }
        context.close();
    }
}
