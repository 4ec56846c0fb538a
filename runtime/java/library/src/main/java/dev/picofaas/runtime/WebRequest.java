// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import io.netty.handler.codec.http.HttpHeaders;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;

/** A request from the web, as the client sent it below the function's name. */
public final class WebRequest {
    private final String method;
    private final String target;
    private final HttpHeaders headers;
    private final InputStream body;

    WebRequest(String method, String target, HttpHeaders headers, InputStream body) {
        this.method = method;
        this.target = target;
        this.headers = headers;
        this.body = body;
    }

    /** The method, such as {@code GET}. */
    public String method() {
        return method;
    }

    /** Path and query as they were sent, nothing decoded: {@code /orders/5?x=1}. */
    public String target() {
        return target;
    }

    /** The path as it was sent, nothing decoded; it begins with {@code /}. */
    public String path() {
        int query = target.indexOf('?');
        return query < 0 ? target : target.substring(0, query);
    }

    /** The query as it was sent, without its {@code ?}; empty where there is none. */
    public Optional<String> query() {
        int query = target.indexOf('?');
        return query < 0 ? Optional.empty() : Optional.of(target.substring(query + 1));
    }

    /** The first value of a header, whose name is in any letters. */
    public Optional<String> header(String name) {
        return Optional.ofNullable(headers.get(name));
    }

    /** All values of a header in their order; empty where there are none. */
    public List<String> headers(String name) {
        return List.copyOf(headers.getAll(name));
    }

    /** The names of all headers, in lower case. */
    public Set<String> headerNames() {
        Set<String> names = new TreeSet<>();
        headers.names().forEach(name -> names.add(name.toLowerCase(Locale.ROOT)));
        return names;
    }

    /**
     * The body, which comes as fast as it is read; it has no limit. A read fails with an {@link IOException} where the
     * caller breaks off, and with an {@link java.io.InterruptedIOException} where the thread is interrupted.
     */
    public InputStream body() {
        return body;
    }

    /**
     * Reads what is left of the body.
     *
     * @throws HandlerException a 413 {@code BODY_TOO_LARGE} where that is more than {@code bytesMax}
     */
    public byte[] bytes(int bytesMax) throws IOException, HandlerException {
        byte[] whole = body.readNBytes(bytesMax);
        if (whole.length == bytesMax && body.read() >= 0) {
            throw new HandlerException(413, "BODY_TOO_LARGE", "the body is longer than the " + bytesMax
                + " bytes it may have");
        }
        return whole;
    }
}
