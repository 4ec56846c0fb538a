// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import dev.picofaas.runtime.frames.InstanceEnd;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelPipeline;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.DefaultHttpContent;
import io.netty.handler.codec.http.DefaultHttpHeadersFactory;
import io.netty.handler.codec.http.DefaultHttpResponse;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpContent;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.LastHttpContent;
import io.netty.util.ReferenceCountUtil;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;

/** One connection over HTTP/1.1, from accept to close, or until it speaks frames: one request after the other. */
final class HttpConversation extends ChannelInboundHandlerAdapter implements Conversation {
    private static final String JSON = "application/json";
    private static final Bytes HEALTHY = Bytes.of("{\"status\":\"ok\"}".getBytes(StandardCharsets.UTF_8));

    private final Server server;
    /** Requests that came before the one before them was answered. They are at most one read: then no more is read. */
    private final Deque<HttpObject> behind = new ArrayDeque<>();
    private ChannelHandlerContext context;
    /** The request that is being read or worked on, or null. */
    private Exchange exchange;
    /** Done when the socket has the 100 of the request, or null where it asked for none. */
    private ChannelFuture continued;
    /** Done when the socket has all of the last answer, or null before the first. */
    private ChannelFuture written;
    /** The last answer was given; what still comes is dropped. */
    private boolean ending;
    /** An answer that is given while what was read is gone through does not begin that anew. */
    private boolean isGoingOn;

    HttpConversation(Server server) {
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
            left.body.stop();
            if (left.web != null) {
                left.web.leave();
            }
            if (left.invocation != null) {
                left.invocation.leave();
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
        if (isGoingOn) {
            return;
        }
        isGoingOn = true;
        try {
            while (!ending && !behind.isEmpty() && (exchange == null || !exchange.whole)) {
                HttpObject next = behind.poll();
                try {
                    take(next);
                } finally {
                    ReferenceCountUtil.release(next);
                }
            }
        } finally {
            isGoingOn = false;
        }
        readOn();
    }

    /** Reads as long as what comes has a place. */
    private void readOn() {
        boolean isHeldUp = exchange != null && exchange.web != null && exchange.web.body.isFull();
        context.channel().config().setAutoRead(ending || behind.isEmpty() && !isHeldUp);
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
            boolean isLast = message instanceof LastHttpContent;
            if (exchange.web != null) {
                exchange.whole = isLast;
                exchange.web.body.append(piece.content(), isLast);
            } else if (!exchange.body.append(piece.content(), piece.content().readableBytes(), isLast)) {
                refuse(Failure.bodyTooLarge(server.bodyBytesMax));
            } else if (isLast) {
                exchange.whole = true;
                answer();
            }
        }
    }

    /** A peer that does not speak HTTP is worth a line. */
    private void notHttp(Throwable fault) {
        Log.line("warning a connection was closed: " + fault);
        if (exchange == null) {
            exchange = new Exchange(Exchange.Route.NOT_FOUND, false, "", new Body(0));
        }
        refuse(Failure.notHttp(String.valueOf(fault.getMessage())));
    }

    private void begin(HttpRequest head) {
        HttpHeaders headers = head.headers();
        String path = Host.path(head.uri());
        boolean keepAlive = HttpUtil.isKeepAlive(head);
        Exchange.Route route = Exchange.route(head, path);
        // A page may ask for what is on the web, and picofaas says that it has let it.
        if (route == Exchange.Route.WEB ? !Call.hasExecutionId(Headers.of(headers)) : Origin.isPage(headers)) {
            route = Exchange.Route.FOREIGN_ORIGIN;
        }
        String fault = Host.faultOf(head);
        if (fault != null || route != Exchange.Route.INVOKE && route != Exchange.Route.WEB) {
            exchange = new Exchange(route, keepAlive, path, new Body(server.bodyBytesMax));
        }
        if (fault != null) {
            // Its body is not read, so the connection ends.
            error(400, "BAD_REQUEST", fault, null);
            return;
        }
        if (route == Exchange.Route.FOREIGN_ORIGIN) {
            // Its body is not read, so the connection ends.
            error(403, "FOREIGN_ORIGIN", path.startsWith(Exchange.WEB)
                ? "a web request has an X-Execution-Id, which a gateway gives and a direct call may make up"
                : "a web page asks (Origin or Sec-Fetch-Site), and an instance answers none", null);
            return;
        }
        if (route == Exchange.Route.WEB) {
            beginWeb(head, keepAlive, path);
            return;
        }
        if (route == Exchange.Route.INVOKE) {
            exchange = new Exchange(keepAlive, path,
                new Invocation(server, this, context.executor(), Headers.of(headers), this::answered));
        }
        Exchange begun = exchange;
        continued = null;
        begun.body.await(context.executor(), () -> {
            if (exchange == begun && !begun.whole) {
                refuse(Failure.bodyLate());
            }
        });
        if (HttpUtil.getContentLength(head, -1L) > server.bodyBytesMax) {
            refuse(Failure.bodyTooLarge(server.bodyBytesMax));
        } else if (!HttpUtil.is100ContinueExpected(head)) {
            return;
        } else if (begun.invocation != null && begun.invocation.refused() != null) {
            // It does not begin, and its body may not come.
            refuse(begun.invocation.refused());
        } else {
            continued = context.writeAndFlush(new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.CONTINUE,
                Unpooled.EMPTY_BUFFER));
        }
    }

    private void beginWeb(HttpRequest head, boolean keepAlive, String path) {
        boolean hasChunks = head.protocolVersion().compareTo(HttpVersion.HTTP_1_1) >= 0;
        WebCaller caller = new WebCaller(HttpUtil.is100ContinueExpected(head), hasChunks);
        WebInvocation web = new WebInvocation(server, this, context, head, caller);
        // The end of an answer of unknown length to HTTP/1.0 is that of its connection.
        exchange = new Exchange(keepAlive && hasChunks, path, web);
        web.start(head, Host.target(head.uri()).substring(Exchange.WEB.length() - 1));
    }

    /** This connection, as a web request knows it. */
    private final class WebCaller implements WebInvocation.Caller {
        private final boolean isToBeContinued;
        private final boolean hasChunks;

        WebCaller(boolean isToBeContinued, boolean hasChunks) {
            this.isToBeContinued = isToBeContinued;
            this.hasChunks = hasChunks;
        }

        @Override
        public void asked() {
            if (isToBeContinued && !exchange.web.isSent()) {
                context.writeAndFlush(new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.CONTINUE,
                    Unpooled.EMPTY_BUFFER));
            }
        }

        @Override
        public void hasRoom() {
            readOn();
        }

        @Override
        public void begin(int status, HttpHeaders headers) {
            ownHeaders(headers);
            if (!headers.contains("content-length") && hasChunks) {
                headers.set("transfer-encoding", "chunked");
            }
            if (!exchange.keepAlive || server.draining()) {
                headers.set("connection", "close");
            }
            context.writeAndFlush(new DefaultHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.valueOf(status),
                headers));
        }

        @Override
        public ChannelFuture write(byte[] piece) {
            return context.writeAndFlush(new DefaultHttpContent(Unpooled.wrappedBuffer(piece)));
        }

        @Override
        public void end() {
            HttpConversation.this.end(LastHttpContent.EMPTY_LAST_CONTENT);
            goOn();
        }

        @Override
        public void end(int status, HttpHeaders headers, byte[] whole) {
            ownHeaders(headers);
            boolean hasNoLength = status == 204 || status == 304 || headers.contains("content-length");
            if (!hasNoLength) {
                headers.set("content-length", whole.length);
            }
            respond(status, headers, Unpooled.wrappedBuffer(whole));
            goOn();
        }

        /** The handler's headers, without those that are the connection's. */
        private void ownHeaders(HttpHeaders headers) {
            headers.remove("transfer-encoding").remove("connection").remove("keep-alive");
            if (!headers.contains("date")) {
                headers.set("date", server.date.now());
            }
        }

        @Override
        public void refuse(Failure failure) {
            respond(failure.status, JSON, failure.body(), null);
            goOn();
        }

        @Override
        public void breakOff() {
            exchange = null;
            ending = true;
            // Behind all that was written before.
            context.writeAndFlush(Unpooled.EMPTY_BUFFER).addListener(ChannelFutureListener.CLOSE);
        }
    }

    /** Answers a request that has been read to its end. */
    private void answer() {
        exchange.body.stop();
        switch (exchange.route) {
            case INVOKE -> run(exchange.invocation);
            case HEALTH -> respond(200, JSON, HEALTHY, null);
            case METRICS -> respond(200, "text/plain; version=0.0.4; charset=utf-8", bytes(server.metrics.toString()),
                null);
            case FRAMES -> {
                if (behind.isEmpty()) {
                    speakFrames();
                } else {
                    // More HTTP came with it.
                    postOnly();
                }
            }
            case WEB, FOREIGN_ORIGIN -> throw new IllegalStateException("it is answered from its head on");
            case NOT_FOUND -> error(404, "NOT_FOUND", "nothing is at `" + exchange.path
                + "`: there are POST /invoke, GET /health, GET /metrics and /web/…", null);
            case POST_ONLY -> postOnly();
            case GET_ONLY -> error(405, "METHOD_NOT_ALLOWED", "use GET here", "GET");
        }
    }

    /** Runs an invocation when its caller knows that it begins. */
    private void run(Invocation invocation) {
        if (continued == null || continued.isDone()) {
            invocation.run();
        } else {
            continued.addListener(sent -> invocation.run());
        }
    }

    private void postOnly() {
        error(405, "METHOD_NOT_ALLOWED", "use POST here", "POST");
    }

    /** The answer of an invocation, which may come at any time. */
    private void answered(int status, Bytes body) {
        respond(status, JSON, body, null);
        goOn();
    }

    /** Answers with a failure; that of an invocation is counted and logged. */
    private void refuse(Failure failure) {
        if (exchange.invocation != null) {
            exchange.invocation.refuse(failure);
        } else if (exchange.web != null) {
            exchange.web.refuse(failure);
        } else {
            respond(failure.status, JSON, failure.body(), null);
        }
    }

    /** Switches protocols; frames that came with the request are read next. */
    private void speakFrames() {
        exchange = null;
        ending = true;
        FullHttpResponse switching = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1,
            HttpResponseStatus.SWITCHING_PROTOCOLS, Unpooled.EMPTY_BUFFER);
        switching.headers().set("connection", "Upgrade").set("upgrade", InstanceEnd.PROTOCOL);
        // It is flushed with the first frame.
        context.write(switching);
        ChannelPipeline pipeline = context.pipeline();
        FrameConversation next = new FrameConversation(server);
        server.became(this, next);
        pipeline.addLast(next);
        pipeline.remove(this);
        pipeline.remove(HttpServerCodec.class);
        next.begin();
    }

    private void error(int status, String code, String message, String allowed) {
        respond(status, JSON, bytes("{\"error\":{\"code\":\"" + code + "\",\"message\":"
            + Text.quoted(Text.shortened(message)) + "}}"), allowed);
    }

    private void respond(int status, String type, Bytes body, String allowed) {
        HttpHeaders headers = DefaultHttpHeadersFactory.headersFactory().newHeaders();
        headers.set("content-type", type).set("content-length", body.length())
            .set("date", server.date.now());
        if (allowed != null) {
            headers.set("allow", allowed);
        }
        if (exchange.route == Exchange.Route.HEALTH && status == 200) {
            server.age.headers().forEach((name, value) -> headers.set(name, value));
        }
        if (exchange.route == Exchange.Route.INVOKE) {
            Long initMs = server.takeInitMs();
            if (initMs != null) {
                headers.set("x-cold-start", "true").set("x-init-duration-ms", initMs);
            }
        }
        respond(status, headers, Unpooled.wrappedBuffer(body.array(), 0, body.length()));
    }

    private void respond(int status, HttpHeaders headers, ByteBuf content) {
        if (!exchange.keepAlive || !exchange.whole || server.draining()) {
            headers.set("connection", "close");
        }
        end(new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, HttpResponseStatus.valueOf(status), content, headers,
            DefaultHttpHeadersFactory.trailersFactory().newHeaders()));
    }

    /** Writes the end of an answer, or all of it. */
    private void end(HttpObject last) {
        Exchange done = exchange;
        exchange = null;
        done.body.stop();
        ending = !done.keepAlive || !done.whole || server.draining();
        written = context.writeAndFlush(last);
        if (ending && done.whole) {
            written.addListener(ChannelFutureListener.CLOSE);
        } else if (ending) {
            written.addListener(sent -> Conversation.linger(context));
        }
    }

    /** A peer that has asked nothing will get no answer. */
    @Override
    public void drain() {
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
        Conversation.caught(context, cause);
    }
}
