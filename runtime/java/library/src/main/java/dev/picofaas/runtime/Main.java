// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

/** Serves a handler until a signal, or runs it once as a JOB. */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) {
        ProcessAge age = new ProcessAge();
        Lines.install();
        int code;
        try {
            code = run(Settings.read(System.getenv()), age);
        } catch (StartException error) {
            Log.line("error " + error.getMessage());
            code = error.exitCode;
        } catch (Throwable error) {
            Log.line("error " + Log.stack(error).strip());
            code = StartException.CANNOT_LISTEN;
        }
        // Threads that a handler left behind have no say in when the process ends.
        System.exit(code);
    }

    static int run(Settings settings, ProcessAge age) throws StartException, InterruptedException {
        if (settings.assignment() != null) {
            return new Job(settings, age).run();
        }
        quietNetty();
        Program program = program(settings);
        age.handlerIsReady();
        Server server = new Server(program, settings.bodyBytesMax(), new Standby(settings.isStandby()), age);
        Stop.on(signal -> server.stop());
        server.listen(settings);
        server.await();
        return 0;
    }

    static Program program(Settings settings) throws StartException {
        Object handler = new Handlers().choose(settings.handler());
        return handler instanceof WebHandler web ? new Program(web)
            : new Program((FunctionHandler<?, ?>) handler, settings.outputBytesMax());
    }

    /** Sets what Netty would find out at start by looking at every network interface, and nobody here asks for. */
    static void quietNetty() {
        for (String[] setting : new String[][] {
            {"io.netty.machineId", "00:00:00:00:00:00:00:01"},
            {"io.netty.processId", "1"},
            {"io.netty.leakDetection.level", "disabled"},
            {"io.netty.allocator.type", "unpooled"},
        }) {
            if (System.getProperty(setting[0]) == null) {
                System.setProperty(setting[0], setting[1]);
            }
        }
    }
}
