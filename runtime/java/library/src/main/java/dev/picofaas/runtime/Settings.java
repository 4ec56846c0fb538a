// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.util.Map;

/**
 * Settings of the environment, checked as a whole before anything is opened. Exactly one of socket, port and assignment
 * is there.
 *
 * @param host all addresses of the machine, of both kinds where the pod's is IPv6, else of IPv4
 * @param port 0 lets the system pick one
 * @param announcement of an instance in Kubernetes, else null
 * @param isStandby it takes one invocation and ends
 * @param assignment of a JOB
 * @param handler the name in HANDLER, or null
 */
record Settings(
    String socket, String host, Integer port, Announcement announcement, boolean isStandby, Assignment assignment,
    String handler, int bodyBytesMax, int outputBytesMax) {

    /** An empty variable counts as absent. */
    static Settings read(Map<String, String> environment) throws StartException {
        String socket = null;
        Integer port = null;
        Announcement announcement = null;
        Assignment assignment = null;
        boolean isStandby = Standby.isAskedFor(variable(environment, Standby.VARIABLE));
        String mode = variable(environment, "EXECUTION_MODE");
        if (mode == null || mode.equals("WARM") || mode.equals("POOL")) {
            socket = variable(environment, "PICOFAAS_SOCKET");
            String portText = variable(environment, "PORT");
            if (socket == null && portText == null) {
                throw StartException.unclear("neither PICOFAAS_SOCKET nor PORT is set: give the path of a Unix socket "
                    + "in PICOFAAS_SOCKET or a TCP port in PORT");
            }
            port = socket == null ? port(portText) : null;
            // Nobody else reaches a socket of this machine.
            if (port != null && mode != null && mode.equals("WARM")) {
                announcement = Announcement.read(name -> variable(environment, name));
            }
        } else if (mode.equals("JOB")) {
            assignment = Assignment.read(given(environment, Assignment.EXECUTION_ID),
                given(environment, Access.RUNTIME_URL), given(environment, Access.TOKEN));
        } else {
            throw StartException.unclear("EXECUTION_MODE is `" + mode
                + "`, which is unknown: give WARM, POOL or JOB, or leave it out");
        }
        String host = Announcement.isIpv6(variable(environment, Announcement.POD_IP)) ? "::" : "0.0.0.0";
        return new Settings(socket, host, port, announcement, isStandby, assignment,
            variable(environment, "HANDLER"), bytes(environment, "MAX_BODY", Limits.BODY_BYTES_MAX),
            bytes(environment, "MAX_OUTPUT", Limits.OUTPUT_BYTES_MAX));
    }

    private static String variable(Map<String, String> environment, String name) {
        String value = environment.get(name);
        return value == null || value.isEmpty() ? null : value;
    }

    private static String given(Map<String, String> environment, String name) throws StartException {
        String value = variable(environment, name);
        if (value == null) {
            throw StartException.unclear("EXECUTION_MODE is JOB and " + name + " is not set: the control plane gives "
                + "it to each attempt; to run the program by hand, leave EXECUTION_MODE out and give PORT");
        }
        return value;
    }

    private static int port(String text) throws StartException {
        if (text.matches("[0-9]{1,5}") && Integer.parseInt(text) <= 65_535) {
            return Integer.parseInt(text);
        }
        throw StartException.unclear("PORT is `" + text + "`, which is not a port: give a number from 0 to 65535");
    }

    private static int bytes(Map<String, String> environment, String name, int otherwise) throws StartException {
        String text = variable(environment, name);
        if (text == null) {
            return otherwise;
        }
        if (text.matches("[0-9]{1,10}")) {
            long bytes = Long.parseLong(text);
            if (bytes >= 1 && bytes <= Limits.SETTING_BYTES_MAX) {
                return (int) bytes;
            }
        }
        throw StartException.unclear(name + " is `" + text + "`: give a number of bytes from 1 to "
            + Limits.SETTING_BYTES_MAX);
    }
}
