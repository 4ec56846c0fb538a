// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.util.function.UnaryOperator;

/**
 * Saying that an instance listens, until the control plane knows it: Kubernetes tells it about half a second later.
 * Nothing waits for this, and whatever comes of it, the instance serves.
 */
final class Announcement {
    static final String POD_IP = "POD_IP";
    private static final String HOSTNAME = "HOSTNAME";

    private final Access access;
    /** The name of the pod. */
    private final String instance;
    private final String ip;
    /** The fault of the other variables, or null. */
    private final String fault;
    private volatile Thread thread;

    Announcement(Access access, String instance, String ip) {
        this(access, instance, ip, null);
    }

    private Announcement(Access access, String instance, String ip, String fault) {
        this.access = access;
        this.instance = instance;
        this.ip = ip;
        this.fault = fault;
    }

    /** The announcement that the environment asks for; null where one of the three variables is missing. */
    static Announcement read(UnaryOperator<String> variable) {
        String url = variable.apply(Access.RUNTIME_URL);
        String token = variable.apply(Access.TOKEN);
        String ip = variable.apply(POD_IP);
        if (url == null || token == null || ip == null) {
            return null;
        }
        try {
            Access access = Access.read(url, token);
            if (!ip.matches("[0-9]{1,3}(\\.[0-9]{1,3}){3}|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*")) {
                throw StartException.malformed(POD_IP, ip, "the pod's IP address");
            }
            String instance = variable.apply(HOSTNAME);
            if (instance == null) {
                throw StartException.unclear("HOSTNAME is not set: give the pod's name, as what is announced with "
                    + POD_IP);
            }
            return new Announcement(access, instance, ip);
        } catch (StartException wrong) {
            // Not even a mistake in it keeps an instance from serving.
            return new Announcement(null, null, ip, wrong.getMessage());
        }
    }

    /** Whether an address is one of IPv6, which nobody reaches who listens on those of IPv4. */
    static boolean isIpv6(String ip) {
        return ip != null && ip.indexOf(':') >= 0;
    }

    /** Says that the instance listens at {@code port}, and its ages, on a thread of its own, and again until that is taken. */
    void start(int port, ProcessAge age) {
        if (fault != null) {
            Log.line("warning the instance serves, but cannot be announced: " + fault);
            return;
        }
        Thread making = new Thread(() -> make(port, age), "announcement");
        making.setDaemon(true);
        thread = making;
        making.start();
    }

    /** Stops trying. */
    void stop() {
        Thread making = thread;
        if (making != null) {
            making.interrupt();
        }
    }

    private void make(int port, ProcessAge age) {
        long pauseMs = Limits.ANNOUNCE_PAUSE_MS_MIN;
        Long toldNs = null;
        while (true) {
            try {
                attempt(port, age);
                break;
            } catch (CallException error) {
                if (Thread.currentThread().isInterrupted()) {
                    return;
                }
                long nowNs = System.nanoTime();
                if (toldNs == null || nowNs - toldNs >= Limits.ANNOUNCE_SILENCE_MS * 1_000_000) {
                    Log.line("warning the instance serves, but cannot be announced: " + error.getMessage()
                        + "; trying again");
                    toldNs = nowNs;
                }
            }
            try {
                Thread.sleep(pauseMs);
            } catch (InterruptedException stopped) {
                return;
            }
            pauseMs = Math.min(Limits.ANNOUNCE_PAUSE_MS_MAX, pauseMs * 2);
        }
        if (toldNs != null) {
            Log.line("the instance is announced");
        }
    }

    /** One try, over a connection of its own: behind one address there may be another control plane by now. */
    private void attempt(int port, ProcessAge age) throws CallException {
        long limitNs = System.nanoTime() + Limits.ANNOUNCE_MS_MAX * 1_000_000;
        String address = (isIpv6(ip) ? "[" + ip + "]" : ip) + ":" + port;
        byte[] body = ("{\"instance\":" + Text.quoted(instance) + ",\"address\":" + Text.quoted(address) + "}")
            .getBytes(StandardCharsets.UTF_8);
        StringBuilder more = new StringBuilder("content-type: application/json\r\ncontent-length: ")
            .append(body.length).append("\r\n");
        age.headers().forEach((name, value) -> more.append(name).append(": ").append(value).append("\r\n"));
        String head = access.head("POST", "/v1/internal/instances", more.toString());
        Connection connection;
        try {
            connection = Connection.open(access);
        } catch (IOException error) {
            throw CallException.connect(error);
        }
        Answer answer;
        try {
            connection.send(head, body);
            answer = connection.receive(Limits.REFUSAL_BYTES_MAX, limitNs);
        } catch (SocketTimeoutException late) {
            throw CallException.late();
        } catch (IOException error) {
            throw CallException.lost(error);
        } finally {
            connection.close();
        }
        if (answer.status() != 204) {
            throw CallException.answered(answer);
        }
    }
}
