// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioServerDomainSocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.HttpDecoderConfig;
import io.netty.handler.codec.http.HttpServerCodec;
import java.net.InetSocketAddress;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * An instance, from start to exit: listen, accept, and on a signal finish what runs. One event loop does everything
 * but the handlers, so nothing here needs a lock.
 */
final class Server {
    final Program program;
    final int bodyBytesMax;
    final Metrics metrics = new Metrics();
    final Workers workers = new Workers();
    final HttpDate date = new HttpDate();
    final Standby standby;
    final ProcessAge age;

    private final MultiThreadIoEventLoopGroup loops = new MultiThreadIoEventLoopGroup(1, NioIoHandler.newFactory());
    private final EventLoop loop = (EventLoop) loops.next();
    private final Set<Conversation> conversations = new HashSet<>();
    private final CountDownLatch ended = new CountDownLatch(1);
    private Channel listener;
    private SocketFile socketFile;
    /** Null where nobody is to be told that this listens. */
    private volatile Announcement announcement;
    /** Milliseconds from start to listening; taken by the first answer. */
    private Long initMs;
    private boolean stopping;
    private boolean draining;
    /** The connection over which a standby had its one invocation, once that has ended. */
    private Conversation lastConversation;
    /** How much came in, to see when no more does. */
    private long arrivals;

    Server(Program program, int bodyBytesMax, Standby standby, ProcessAge age) {
        this.program = program;
        this.bodyBytesMax = bodyBytesMax;
        this.standby = standby;
        this.age = age;
    }

    /** Listens. Signals must be taken before: whoever sees the socket may send one. */
    void listen(Settings settings) throws StartException {
        ServerBootstrap bootstrap = new ServerBootstrap()
            .group(loops)
            .option(ChannelOption.SO_BACKLOG, Limits.BACKLOG_CONNECTIONS_MAX)
            .handler(new Accepting())
            .childHandler(new ChannelInitializer<Channel>() {
                @Override
                protected void initChannel(Channel channel) {
                    HttpDecoderConfig heads = new HttpDecoderConfig()
                        .setMaxInitialLineLength(Limits.HEAD_BYTES_MAX).setMaxHeaderSize(Limits.HEAD_BYTES_MAX);
                    channel.pipeline().addLast(new HttpServerCodec(heads, Limits.PIPELINED_MAX),
                        new HttpConversation(Server.this));
                }
            });
        announcement = settings.announcement();
        ChannelFuture bound;
        if (settings.socket() != null) {
            socketFile = SocketFile.bind(settings.socket());
            bound = bootstrap.channelFactory(() -> new NioServerDomainSocketChannel(socketFile.channel)).register();
        } else {
            bound = bootstrap.channel(NioServerSocketChannel.class)
                .option(ChannelOption.SO_REUSEADDR, true)
                .childOption(ChannelOption.TCP_NODELAY, true)
                .bind(new InetSocketAddress(settings.host(), settings.port()));
        }
        bound.awaitUninterruptibly();
        if (!bound.isSuccess()) {
            throw new StartException(StartException.CANNOT_LISTEN, "cannot listen on "
                + (socketFile == null ? "port " + settings.port() + " (PORT)" : socketFile + " (PICOFAAS_SOCKET)")
                + ": " + bound.cause());
        }
        listener = bound.channel();
        long ms = age.ms();
        loop.execute(() -> initMs = ms);
        int port = socketFile != null ? 0 : ((InetSocketAddress) listener.localAddress()).getPort();
        String where = socketFile != null ? socketFile.toString()
            : "http://" + (Announcement.isIpv6(settings.host()) ? "[::]" : settings.host()) + ":" + port;
        Log.line("listening on " + where + " after " + ms + " ms");
        if (announcement != null) {
            announcement.start(port, age);
        }
    }

    /** Waits until it was stopped and everything that ran was answered. */
    void await() throws InterruptedException {
        ended.await();
    }

    /** Stops in good order; from any thread, and as often as one likes. */
    void stop() {
        loop.execute(() -> {
            if (!stopping) {
                stopping = true;
                if (announcement != null) {
                    announcement.stop();
                }
                drainOnceQuiet(arrivals, Limits.DRAIN_LOOKS_MAX);
            }
        });
    }

    /**
     * Requests that were on their way before the signal are finished, too. The timer's end lies behind another look at
     * the sockets: when that found nothing, nothing was there.
     */
    private void drainOnceQuiet(long seen, int looksLeft) {
        loop.schedule(() -> {
            if (arrivals != seen && looksLeft > 0) {
                drainOnceQuiet(arrivals, looksLeft - 1);
            } else {
                drain();
            }
        }, 2, TimeUnit.MILLISECONDS);
    }

    private void drain() {
        draining = true;
        if (socketFile != null) {
            socketFile.remove();
        }
        listener.close();
        Log.line("stopping, " + metrics.inFlight() + " in flight");
        List.copyOf(conversations).forEach(Conversation::drain);
        endIfDone();
    }

    private void endIfDone() {
        if (draining && conversations.isEmpty() && ended.getCount() > 0) {
            Log.line("stopped");
            ended.countDown();
        }
    }

    boolean draining() {
        return draining;
    }

    /** The time the start took, for the first answer only; null after it. */
    Long takeInitMs() {
        Long ms = initMs;
        initMs = null;
        return ms;
    }

    void arrived() {
        arrivals++;
    }

    void opened(Conversation conversation) {
        arrived();
        conversations.add(conversation);
        if (conversations.size() >= Limits.CONNECTIONS_MAX) {
            listener.config().setAutoRead(false);
        }
    }

    /** A handler's invocation has ended, over a connection. That of a standby was the only one. */
    void handled(Conversation conversation) {
        if (standby.isStandby()) {
            lastConversation = conversation;
            // A caller that keeps the connection open for longer has forgotten it.
            loop.schedule(this::stop, Limits.STANDBY_LINGER_MS, TimeUnit.MILLISECONDS);
        }
    }

    /** Another protocol is spoken over a connection that is open. */
    void became(Conversation before, Conversation conversation) {
        conversations.remove(before);
        conversations.add(conversation);
    }

    void closed(Conversation conversation) {
        conversations.remove(conversation);
        if (conversations.size() == Limits.CONNECTIONS_MAX - 1 && !draining) {
            listener.config().setAutoRead(true);
        }
        if (conversation == lastConversation) {
            stop();
        }
        endIfDone();
    }

    /** Logs a failure of the listener; Netty stops accepting for a second then. */
    private static final class Accepting extends ChannelInboundHandlerAdapter {
        @Override
        public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
            Log.line("warning cannot accept a connection: " + cause);
            context.fireExceptionCaught(cause);
        }
    }
}
