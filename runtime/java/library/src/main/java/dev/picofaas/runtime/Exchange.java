// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.buffer.ByteBuf;
import io.netty.util.concurrent.Future;
import java.util.Arrays;

/** One request on its way through a conversation. */
final class Exchange {
    /** The call that a path and method stand for, or that a web page asks. */
    enum Route { INVOKE, HEALTH, METRICS, FOREIGN_ORIGIN, NOT_FOUND, POST_ONLY, GET_ONLY }

    private static final int BODY_BYTES_AT_FIRST = 8192;

    final Route route;
    final boolean keepAlive;
    final String path;
    final Ids ids;
    final long beganNs = System.nanoTime();
    /** Of an invocation whose head is as it should be, or null. */
    Call call;
    /** Found in the head, and answered when the body has been read. */
    Failure refused;
    /** The request has been read to its end. */
    boolean whole;
    Attempt attempt;
    Future<?> bodyTimer;
    Future<?> deadlineTimer;
    private byte[] body;
    private int length;

    Exchange(Route route, boolean keepAlive, String path, Ids ids) {
        this.route = route;
        this.keepAlive = keepAlive;
        this.path = path;
        this.ids = ids;
    }

    static Route route(String method, String path) {
        return switch (path) {
            case "/invoke" -> method.equals("POST") ? Route.INVOKE : Route.POST_ONLY;
            case "/health" -> method.equals("GET") ? Route.HEALTH : Route.GET_ONLY;
            case "/metrics" -> method.equals("GET") ? Route.METRICS : Route.GET_ONLY;
            default -> Route.NOT_FOUND;
        };
    }

    /** Takes a piece of the body; false if it is too much. What nobody will read is only counted. */
    boolean append(ByteBuf piece, int max) {
        int count = piece.readableBytes();
        if (count > max - length) {
            return false;
        }
        if (route == Route.INVOKE && refused == null) {
            if (body == null) {
                body = new byte[Math.max(count, BODY_BYTES_AT_FIRST)];
            } else if (count > body.length - length) {
                body = Arrays.copyOf(body, (int) Math.min(max, Math.max(length + (long) count, body.length * 2L)));
            }
            piece.readBytes(body, length, count);
        }
        length += count;
        return true;
    }

    /** Hands the body over. */
    Bytes takeBody() {
        Bytes whole = new Bytes(body == null ? new byte[0] : body, length);
        body = null;
        return whole;
    }

    void cancelTimers() {
        if (bodyTimer != null) {
            bodyTimer.cancel(false);
        }
        if (deadlineTimer != null) {
            deadlineTimer.cancel(false);
        }
    }
}
