// SPDX-License-Identifier: Apache-2.0
package dev.picofaas.runtime;

import java.io.IOException;
import java.net.ConnectException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;

/** The file of a Unix socket, from bind to unlink. */
final class SocketFile {
    private static final int FILE_TYPE_MASK = 0170000;
    private static final int FILE_TYPE_SOCKET = 0140000;

    private final Path path;
    /** Known by its inode: a successor may have put its own in the same place, and that one must stay. */
    private final Object identity;
    final ServerSocketChannel channel;

    private SocketFile(Path path, ServerSocketChannel channel) throws IOException {
        this.path = path;
        this.channel = channel;
        this.identity = identity(path);
    }

    static SocketFile bind(String name) throws StartException {
        Path path = Path.of(name);
        try {
            removeStale(path);
            // Netty removes the file at the name that was bound, whosever it is by then. So ours gets its name later.
            Path first = path.resolveSibling("." + ProcessHandle.current().pid());
            Files.deleteIfExists(first);
            ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            channel.bind(UnixDomainSocketAddress.of(first), Limits.BACKLOG_CONNECTIONS_MAX);
            try {
                Files.move(first, path, StandardCopyOption.ATOMIC_MOVE);
            } catch (IOException error) {
                Files.deleteIfExists(first);
                throw error;
            }
            return new SocketFile(path, channel);
        } catch (IOException error) {
            throw new StartException(StartException.CANNOT_LISTEN,
                "cannot listen on the socket " + path + " (PICOFAAS_SOCKET): " + error);
        }
    }

    /** Removes what a killed predecessor left, and nothing else: no other file, and no socket that answers. */
    private static void removeStale(Path path) throws IOException, StartException {
        int mode;
        try {
            mode = (Integer) Files.getAttribute(path, "unix:mode", LinkOption.NOFOLLOW_LINKS);
        } catch (NoSuchFileException none) {
            return;
        }
        if ((mode & FILE_TYPE_MASK) != FILE_TYPE_SOCKET) {
            throw new StartException(StartException.CANNOT_LISTEN,
                "PICOFAAS_SOCKET names " + path + ", which is a file but not a socket: it was left alone");
        }
        try (SocketChannel probe = SocketChannel.open(UnixDomainSocketAddress.of(path))) {
            throw new StartException(StartException.CANNOT_LISTEN,
                "another process listens on " + path + " (PICOFAAS_SOCKET)");
        } catch (ConnectException refused) {
            Files.delete(path);
        }
    }

    /** Removes the file if it is still ours. */
    void remove() {
        try {
            if (identity.equals(identity(path))) {
                Files.delete(path);
            }
        } catch (NoSuchFileException gone) {
            // Somebody was faster.
        } catch (IOException error) {
            Log.line("warning cannot remove the socket " + path + ": " + error);
        }
    }

    private static Object identity(Path path) throws IOException {
        return Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS).fileKey();
    }

    @Override
    public String toString() {
        return "unix:" + path;
    }
}
