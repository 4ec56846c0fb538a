// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpVersion;
import java.util.List;
import java.util.regex.Pattern;

/** The host that a request is for, and the coding of its body (RFC 9112, 3.2 and 6.1). */
final class Host {
    private static final String SCHEME = "http://";
    private static final Pattern HOST =
        Pattern.compile("([-\\w.~!$&'()*+,;=%]+|\\[[0-9A-Fa-f:.]+])?(:[0-9]*)?");

    private Host() {
    }

    /** The fault of a request that says no host or several, or that is for another kind of server; or null. */
    static String faultOf(HttpRequest head) {
        List<String> hosts = head.headers().getAll("host");
        List<String> codings = head.headers().getAll("transfer-encoding");
        if (hosts.isEmpty() && head.protocolVersion().compareTo(HttpVersion.HTTP_1_1) >= 0) {
            return "Host is missing";
        }
        if (hosts.size() > 1) {
            return "Host is there more than once";
        }
        if (!hosts.isEmpty() && !HOST.matcher(hosts.get(0)).matches()) {
            return "Host is not a host with or without a port";
        }
        if (!isTarget(head.uri())) {
            return "the target is neither a path nor http:// with a host and a path";
        }
        if (codings.size() > 1 || codings.size() == 1 && !codings.get(0).equalsIgnoreCase("chunked")) {
            return "Transfer-Encoding is not `chunked`";
        }
        return null;
    }

    /** Path and query in a target, which may begin with a host. */
    static String target(String target) {
        return target.startsWith(SCHEME) ? target.substring(SCHEME.length() + authority(target).length()) : target;
    }

    /** The path in a target, which may begin with a host. */
    static String path(String target) {
        String rest = target(target);
        int query = rest.indexOf('?');
        String path = query < 0 ? rest : rest.substring(0, query);
        return path.isEmpty() ? "/" : path;
    }

    /** Host and port of a target that begins with them. */
    private static String authority(String target) {
        int end = SCHEME.length();
        while (end < target.length() && "/?#".indexOf(target.charAt(end)) < 0) {
            end++;
        }
        return target.substring(SCHEME.length(), end);
    }

    private static boolean isTarget(String target) {
        if (target.startsWith(SCHEME)) {
            String authority = authority(target);
            return !authority.isEmpty() && !authority.startsWith(":") && HOST.matcher(authority).matches();
        }
        return target.startsWith("/") || target.equals("*");
    }
}
