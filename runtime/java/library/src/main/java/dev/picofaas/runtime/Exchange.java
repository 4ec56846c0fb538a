// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import dev.picofaas.runtime.frames.InstanceEnd;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpVersion;

/** One request over HTTP on its way through a conversation. */
final class Exchange {
    /** The call that a path and method stand for, or that a web page asks. */
    enum Route { INVOKE, WEB, HEALTH, METRICS, FRAMES, FOREIGN_ORIGIN, NOT_FOUND, POST_ONLY, GET_ONLY }

    /** The path under which a function gets web requests, and the first character of the client's path. */
    static final String WEB = "/web/";

    final Route route;
    final boolean keepAlive;
    final String path;
    final Body body;
    /** Of the route INVOKE, or null. */
    final Invocation invocation;
    /** Of the route WEB, or null. */
    final WebInvocation web;
    /** The request has been read to its end. */
    boolean whole;

    /** A request that invokes nothing. */
    Exchange(Route route, boolean keepAlive, String path, Body body) {
        this.route = route;
        this.keepAlive = keepAlive;
        this.path = path;
        this.body = body;
        invocation = null;
        web = null;
        body.drop();
    }

    Exchange(boolean keepAlive, String path, Invocation invocation) {
        route = Route.INVOKE;
        this.keepAlive = keepAlive;
        this.path = path;
        this.invocation = invocation;
        web = null;
        body = invocation.body;
    }

    /** A web request, whose body is its own. */
    Exchange(boolean keepAlive, String path, WebInvocation web) {
        route = Route.WEB;
        this.keepAlive = keepAlive;
        this.path = path;
        this.web = web;
        invocation = null;
        body = new Body(0);
    }

    static Route route(HttpRequest head, String path) {
        String method = head.method().name();
        return switch (path) {
            case "/invoke" -> method.equals("POST") ? Route.INVOKE
                : method.equals("GET") && isToFrames(head) ? Route.FRAMES : Route.POST_ONLY;
            case "/health" -> method.equals("GET") ? Route.HEALTH : Route.GET_ONLY;
            case "/metrics" -> method.equals("GET") ? Route.METRICS : Route.GET_ONLY;
            default -> path.startsWith(WEB) ? Route.WEB : Route.NOT_FOUND;
        };
    }

    /** Whether frames are asked for. An Upgrade to anything else is no business of this server (RFC 9110, 7.8). */
    private static boolean isToFrames(HttpRequest head) {
        return head.protocolVersion().compareTo(HttpVersion.HTTP_1_1) >= 0
            && head.headers().containsValue("connection", "upgrade", true)
            && head.headers().containsValue("upgrade", InstanceEnd.PROTOCOL, true);
    }
}
