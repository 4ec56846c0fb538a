// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.DuplexChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.DefaultHttpHeadersFactory;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpContent;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.LastHttpContent;
import io.netty.util.ReferenceCountUtil;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.TimeUnit;

/** One connection, from accept to close: one request after the other. */
final class Conversation extends ChannelInboundHandlerAdapter {
    private static final String JSON = "application/json";
    private static final Bytes HEALTHY = Bytes.of("{\"status\":\"ok\"}".getBytes(StandardCharsets.UTF_8));

    private final Server server;
    /** Requests that came before the one before them was answered. They are at most one read: then no more is read. */
    private final Deque<HttpObject> behind = new ArrayDeque<>();
    private ChannelHandlerContext context;
    /** The request that is being read or worked on, or null. */
    private Exchange exchange;
    /** Done when the socket has all of the last answer, or null before the first. */
    private ChannelFuture written;
    /** The last answer was given; what still comes is dropped. */
    private boolean ending;

    Conversation(Server server) {
        this.server = server;
    }

    @Override
    public void channelActive(ChannelHandlerContext context) {
        this.context = context;
        server.opened(this);
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        ending = true;
        behind.forEach(ReferenceCountUtil::release);
        behind.clear();
        Exchange left = exchange;
        exchange = null;
        if (left != null) {
            // Nobody reads the answer.
            left.cancelTimers();
            if (left.attempt != null) {
                left.attempt.stop();
            }
            if (left.route == Exchange.Route.INVOKE) {
                server.metrics.end(Outcome.CANCELLED, System.nanoTime() - left.beganNs);
            }
        }
        server.closed(this);
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        server.arrived();
        if (ending) {
            ReferenceCountUtil.release(message);
            return;
        }
        behind.add((HttpObject) message);
        goOn();
    }

    /** Goes through what was read, up to a request that has to be waited for. */
    private void goOn() {
        while (!ending && !behind.isEmpty() && (exchange == null || !exchange.whole)) {
            HttpObject next = behind.poll();
            try {
                take(next);
            } finally {
                ReferenceCountUtil.release(next);
            }
        }
        context.channel().config().setAutoRead(ending || behind.isEmpty());
    }

    private void take(HttpObject message) {
        if (message.decoderResult().isFailure()) {
            notHttp(message.decoderResult().cause());
            return;
        }
        if (message instanceof HttpRequest head) {
            begin(head);
        }
        if (message instanceof HttpContent piece && exchange != null) {
            if (!exchange.append(piece.content(), server.bodyBytesMax)) {
                refuse(Failure.bodyTooLarge(server.bodyBytesMax));
            } else if (message instanceof LastHttpContent) {
                exchange.whole = true;
                answer();
            }
        }
    }

    /** A peer that does not speak HTTP is worth a line. */
    private void notHttp(Throwable fault) {
        Log.line("warning a connection was closed: " + fault);
        if (exchange == null) {
            exchange = new Exchange(Exchange.Route.NOT_FOUND, false, "", new Ids("-", "-"));
        }
        respond(Failure.notHttp(String.valueOf(fault.getMessage())));
    }

    private void begin(HttpRequest head) {
        HttpHeaders headers = head.headers();
        String path = Host.path(head.uri());
        Exchange.Route route = Origin.isPage(headers) ? Exchange.Route.FOREIGN_ORIGIN
            : Exchange.route(head.method().name(), path);
        Exchange begun = new Exchange(route, HttpUtil.isKeepAlive(head), path, Ids.of(Headers.of(headers)));
        exchange = begun;
        String fault = Host.faultOf(head);
        if (fault != null) {
            // Its body is not read, so the connection ends.
            error(400, "BAD_REQUEST", fault, null);
            return;
        }
        if (route == Exchange.Route.FOREIGN_ORIGIN) {
            // Its body is not read, so the connection ends.
            error(403, "FOREIGN_ORIGIN", "a web page asks (Origin or Sec-Fetch-Site), and an instance answers none",
                null);
            return;
        }
        begun.bodyTimer = context.executor().schedule(() -> {
            if (exchange == begun && !begun.whole) {
                refuse(Failure.bodyLate());
            }
        }, Limits.BODY_READ_MS_MAX, TimeUnit.MILLISECONDS);
        if (begun.route == Exchange.Route.INVOKE) {
            server.metrics.begin();
            try {
                begun.call = Call.read(Headers.of(headers), begun.beganNs);
                if (begun.call.isOverAt(begun.beganNs)) {
                    begun.refused = Failure.deadlinePassed(begun.call);
                } else if (begun.call.deadlineNs() != null) {
                    begun.deadlineTimer = context.executor().schedule(() -> deadline(begun),
                        begun.call.deadlineNs() - System.nanoTime(), TimeUnit.NANOSECONDS);
                }
            } catch (Failure failure) {
                begun.refused = failure;
            }
        }
        if (HttpUtil.getContentLength(head, -1L) > server.bodyBytesMax) {
            refuse(Failure.bodyTooLarge(server.bodyBytesMax));
        } else if (HttpUtil.is100ContinueExpected(head)) {
            context.writeAndFlush(new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.CONTINUE,
                Unpooled.EMPTY_BUFFER));
        }
    }

    private void deadline(Exchange begun) {
        if (exchange != begun) {
            return;
        }
        // Where it has just ended, its answer is already on its way here.
        if (begun.attempt == null || begun.attempt.stop()) {
            refuse(Failure.deadlinePassed(begun.call));
            goOn();
        }
    }

    /** Answers a request that has been read to its end. */
    private void answer() {
        exchange.bodyTimer.cancel(false);
        switch (exchange.route) {
            case INVOKE -> {
                if (exchange.refused == null) {
                    invoke(exchange);
                } else {
                    refuse(exchange.refused);
                }
            }
            case HEALTH -> respond(200, JSON, HEALTHY, null);
            case METRICS -> respond(200, "text/plain; version=0.0.4; charset=utf-8", bytes(server.metrics.toString()),
                null);
            case FOREIGN_ORIGIN -> throw new IllegalStateException("it was answered when its head had been read");
            case NOT_FOUND -> error(404, "NOT_FOUND", "nothing is at `" + exchange.path
                + "`: there are POST /invoke, GET /health and GET /metrics", null);
            case POST_ONLY -> error(405, "METHOD_NOT_ALLOWED", "use POST here", "POST");
            case GET_ONLY -> error(405, "METHOD_NOT_ALLOWED", "use GET here", "GET");
        }
    }

    private void invoke(Exchange begun) {
        begun.attempt = new Attempt(server.program, begun.call, begun.takeBody(),
            result -> context.executor().execute(() -> ended(begun, result)));
        server.workers.run(begun.attempt, () -> context.executor().execute(server.workers::ended));
    }

    private void ended(Exchange begun, Attempt.Result result) {
        if (exchange != begun) {
            return;
        }
        if (result.failure() != null) {
            refuse(result.failure());
        } else {
            count(Outcome.SUCCESS);
            respond(200, JSON, result.output(), null);
        }
        goOn();
    }

    /** Answers with a failure and says so in the log. */
    private void refuse(Failure failure) {
        if (exchange.route == Exchange.Route.INVOKE) {
            Log.failure(exchange.ids, failure);
            count(failure.outcome);
        }
        respond(failure);
    }

    private void count(Outcome outcome) {
        server.metrics.end(outcome, System.nanoTime() - exchange.beganNs);
    }

    private void respond(Failure failure) {
        respond(failure.status, JSON, bytes("{\"error\":" + Text.errorDetail(failure) + "}"), null);
    }

    private void error(int status, String code, String message, String allowed) {
        respond(status, JSON, bytes("{\"error\":{\"code\":\"" + code + "\",\"message\":"
            + Text.quoted(Text.shortened(message)) + "}}"), allowed);
    }

    private void respond(int status, String type, Bytes body, String allowed) {
        Exchange done = exchange;
        exchange = null;
        done.cancelTimers();
        ByteBuf content = Unpooled.wrappedBuffer(body.array(), 0, body.length());
        FullHttpResponse response = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1,
            HttpResponseStatus.valueOf(status), content, DefaultHttpHeadersFactory.headersFactory(),
            DefaultHttpHeadersFactory.trailersFactory());
        response.headers().set("content-type", type).set("content-length", body.length())
            .set("date", server.date.now());
        if (allowed != null) {
            response.headers().set("allow", allowed);
        }
        if (done.route == Exchange.Route.INVOKE) {
            Long initMs = server.takeInitMs();
            if (initMs != null) {
                response.headers().set("x-cold-start", "true").set("x-init-duration-ms", initMs);
            }
        }
        ending = !done.keepAlive || !done.whole || server.draining();
        if (ending) {
            response.headers().set("connection", "close");
        }
        written = context.writeAndFlush(response);
        if (ending && done.whole) {
            written.addListener(ChannelFutureListener.CLOSE);
        } else if (ending) {
            written.addListener(sent -> linger());
        }
    }

    /** Closing with something unread could take the answer back: the peer closes, or time runs out. */
    private void linger() {
        ((DuplexChannel) context.channel()).shutdownOutput();
        context.executor().schedule(() -> context.close(), Limits.LINGER_MS, TimeUnit.MILLISECONDS);
    }

    /** The instance is stopping: whoever has asked nothing will get no answer. */
    void closeIfIdle() {
        if (exchange != null || !behind.isEmpty() || ending) {
            return;
        }
        if (written == null) {
            context.close();
        } else {
            // Closing takes the rest of an answer back that is still being written.
            ending = true;
            written.addListener(ChannelFutureListener.CLOSE);
        }
    }

    private static Bytes bytes(String text) {
        return Bytes.of(text.getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        // A peer that goes away is its own business; a fault of ours costs its connection and no more.
        if (!(cause instanceof IOException)) {
            Log.line("error a connection ended in a fault of the runtime: " + Log.stack(cause).strip());
        }
        context.close();
    }
}
