// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.faulty;

import dev.picofaas.runtime.Context;
import dev.picofaas.runtime.FunctionName;
import dev.picofaas.runtime.HandlerException;
import dev.picofaas.runtime.WebHandler;
import dev.picofaas.runtime.WebRequest;
import dev.picofaas.runtime.WebResponse;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A handler of web requests that answers by the path.
 *
 * <ul>
 * <li>{@code /count}: the number of the body's bytes and their sum; with {@code go} it waits for this file before it
 * reads, with {@code here} it makes this file when the first of the body has come, with {@code done} this one at its end
 * <li>{@code /echo}: each piece of the body as it comes
 * <li>{@code /status/N}: the status N and the text {@code status N}
 * <li>{@code /pieces}: {@code first} and, once there is the file {@code go}, {@code second}
 * <li>{@code /flood}: so many {@code bytes}; makes the file {@code done} when all are written
 * <li>{@code /break}: {@code begin}, and breaks off; with {@code length} that was promised
 * <li>{@code /sized}: {@code text}, whose {@code length} was promised; with {@code flush} at once
 * <li>{@code /endless}: {@code more} every 10 ms; makes the file {@code gone} when nobody reads any more
 * <li>{@code /fail}: a 418 {@code TEAPOT}, as a failure of the handler; {@code /throw}: an exception
 * <li>{@code /never}: none; makes the file {@code gone} when nobody waits for it any more
 * <li>any other: the request's method, target and headers
 * </ul>
 */
@FunctionName("web")
public final class Web implements WebHandler {
    private static final int PIECE_BYTES = 65_536;

    @Override
    public void handle(WebRequest request, WebResponse response, Context context) throws Exception {
        String path = request.path().replaceFirst("^/+", "");
        switch (path.split("/", 2)[0]) {
            case "count" -> count(request, response);
            case "echo" -> echo(request, response);
            case "status" -> status(Integer.parseInt(path.substring(path.lastIndexOf('/') + 1)), response);
            case "pieces" -> pieces(request, response);
            case "flood" -> flood(request, response);
            case "break" -> breakOff(request, response);
            case "endless" -> endless(request, response);
            case "fail" -> throw new HandlerException(418, "TEAPOT", "no coffee here");
            case "throw" -> throw new IllegalStateException("it falls over, as told");
            case "sized" -> sized(request, response);
            case "never" -> never(request);
            default -> inspect(request, response);
        }
    }

    /** A value of the query, which has nothing to decode, or null. */
    private static String query(WebRequest request, String name) {
        for (String pair : request.query().orElse("").split("&")) {
            if (pair.startsWith(name + "=")) {
                return pair.substring(name.length() + 1);
            }
        }
        return null;
    }

    private static void make(String file) throws IOException {
        if (file != null) {
            Files.createFile(Path.of(file));
        }
    }

    private static void waitFor(String file) throws InterruptedException {
        while (file != null && !Files.exists(Path.of(file))) {
            Thread.sleep(10);
        }
    }

    private static void count(WebRequest request, WebResponse response) throws IOException, InterruptedException {
        waitFor(query(request, "go"));
        String here = query(request, "here");
        long count = 0;
        long sum = 0;
        byte[] piece = new byte[PIECE_BYTES];
        int read;
        while ((read = request.body().read(piece)) >= 0) {
            make(here);
            here = null;
            count += read;
            for (int at = 0; at < read; at++) {
                sum += piece[at] & 0xff;
            }
        }
        make(query(request, "done"));
        response.header("content-type", "application/json").write("{\"bytes\":" + count + ",\"sum\":" + sum + "}");
    }

    private static void echo(WebRequest request, WebResponse response) throws IOException {
        response.header("content-type", "application/octet-stream");
        InputStream body = request.body();
        byte[] piece = new byte[PIECE_BYTES];
        int read;
        while ((read = body.read(piece)) >= 0) {
            response.body().write(piece, 0, read);
            response.body().flush();
        }
    }

    private static void status(int status, WebResponse response) throws IOException {
        response.status(status).header("content-type", "text/x-status").header("location", "/elsewhere?a=b")
            .header("set-cookie", "a=1; Path=/").addHeader("set-cookie", "b=2; HttpOnly").write("status " + status);
    }

    private static void pieces(WebRequest request, WebResponse response) throws IOException, InterruptedException {
        response.header("content-type", request.header("accept").orElse("text/plain")).write("first");
        response.body().flush();
        waitFor(query(request, "go"));
        response.write("second");
    }

    private static void flood(WebRequest request, WebResponse response) throws IOException {
        response.header("content-type", "application/octet-stream");
        long left = Long.parseLong(query(request, "bytes"));
        while (left > 0) {
            int count = (int) Math.min(left, PIECE_BYTES);
            response.body().write(new byte[count]);
            left -= count;
        }
        make(query(request, "done"));
    }

    private static void breakOff(WebRequest request, WebResponse response) throws IOException {
        response.header("content-type", "text/plain");
        if (query(request, "length") != null) {
            response.header("content-length", query(request, "length"));
        }
        response.write("begin");
        response.body().flush();
        throw new IOException("it breaks off, as told");
    }

    private static void sized(WebRequest request, WebResponse response) throws IOException {
        response.header("content-length", query(request, "length")).write(query(request, "text"));
        if (query(request, "flush") != null) {
            response.body().flush();
        }
    }

    private static void endless(WebRequest request, WebResponse response) throws Exception {
        response.header("content-type", "text/plain");
        try {
            while (true) {
                response.write("more");
                response.body().flush();
                Thread.sleep(10);
            }
        } catch (IOException | InterruptedException gone) {
            make(query(request, "gone"));
            throw gone;
        }
    }

    private static void never(WebRequest request) throws Exception {
        try {
            Thread.sleep(Long.MAX_VALUE);
        } catch (InterruptedException gone) {
            make(query(request, "gone"));
            throw gone;
        }
    }

    private static void inspect(WebRequest request, WebResponse response) throws IOException {
        StringBuilder told = new StringBuilder("{\"method\":").append(quoted(request.method()))
            .append(",\"target\":").append(quoted(request.target())).append(",\"headers\":[");
        String separator = "";
        for (String name : request.headerNames()) {
            for (String value : request.headers(name)) {
                told.append(separator).append('[').append(quoted(name)).append(',')
                    .append(quoted(value)).append(']');
                separator = ",";
            }
        }
        response.header("content-type", "application/json").write(told.append("]}").toString());
    }

    private static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }
}
