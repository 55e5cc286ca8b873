// Owns who is at the other end of an admin connection, as the system knows it: an address, or a process with its user.
// Leaves to others: whether it is let in (AccessGuard), how others tell of it (History, Events).

import Glibc
import NIOCore
import ShuttleEngine

/// The other end of a connection.
struct AdminPeer: Sendable, CustomStringConvertible {
    /// `struct ucred`, which the C library hides: who connected, as it was then.
    struct Credentials: Sendable {
        var process: pid_t = 0
        var user: uid_t = 0
        var group: gid_t = 0
    }

    /// For the log and the history.
    var description: String
    /// Of a unix socket's.
    var credentials: Credentials?
    /// The group of these and, where it was asked for, those that the process had besides.
    var groups: [gid_t] = []

    static func unix(_ credentials: Credentials, furtherGroups: [gid_t] = []) -> AdminPeer {
        AdminPeer(
            description: "unix (pid \(credentials.process), uid \(credentials.user))", credentials: credentials,
            groups: [credentials.group] + furtherGroups
        )
    }

    /// Asks the system. `withGroups`: also for the further groups of a unix socket's peer.
    static func of(_ channel: any Channel, withGroups: Bool) async -> AdminPeer {
        if let address = channel.remoteAddress, let host = address.ipAddress, let port = address.port {
            return AdminPeer(description: host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)")
        }
        guard let socket = channel as? any SocketOptionProvider,
            let credentials: Credentials = await option(SO_PEERCRED, of: socket)
        else {
            return AdminPeer(description: "unix")
        }
        guard withGroups, let all: InlineArray<1024, gid_t> = await option(SO_PEERGROUPS, of: socket) else {
            return .unix(credentials)
        }
        return .unix(credentials, furtherGroups: groups(among: all.indices.map { all[$0] }))
    }

    private static func option<Value: Sendable>(_ name: Int32, of socket: any SocketOptionProvider) async -> Value? {
        try? await socket.unsafeGetSocketOption(level: .socket, name: .init(rawValue: name)).get()
    }

    /// The groups that the kernel has written before zeros. It sorts them, so a zero is one of them only if it comes before
    /// another one; where there is nothing but zeros there may be none, and root's group is not taken for granted.
    static func groups(among written: [gid_t]) -> [gid_t] {
        guard let last = written.lastIndex(where: { $0 != 0 }) else {
            return []
        }
        return Array(written[...last])
    }
}
