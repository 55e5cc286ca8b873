// Owns telling the service manager how this process fares, by the protocol of sd_notify(3): a datagram of lines to the socket that
// NOTIFY_SOCKET names.
// Leaves to others: what is told and when (ManagerReports).

import Glibc
import Logging
import ShuttleEngine

/// The manager's socket. Unchecked: the main thread uses it until it hands everything over to the control loop. Nothing waits for the manager: what it does not take is offered again with the next thing that is told.
final class ManagerSocket: @unchecked Sendable {
    /// Why NOTIFY_SOCKET cannot be used.
    struct Unusable: Error, Equatable {
        var text: String
    }

    private let descriptor: Int32
    private let address: [UInt8]
    /// What was not taken yet, the oldest first.
    private var unsent: [String] = []

    /// A manager that takes nothing for so long has no use for the oldest any more.
    private static let unsentMax = 16
    private static let pathStart = MemoryLayout<sa_family_t>.size
    private static let pathMax = MemoryLayout<sockaddr_un>.size - pathStart - 1

    /// - Parameter place: What NOTIFY_SOCKET says: a path, or a name of the abstract namespace behind `@`.
    init(_ place: String) throws(Unusable) {
        let bytes = Array(place.utf8)
        guard bytes.first == UInt8(ascii: "/") || bytes.first == UInt8(ascii: "@"), bytes.count > 1 else {
            throw Unusable(text: "NOTIFY_SOCKET is \(Quoted(place)), which is neither a path nor a name behind @")
        }
        guard bytes.count <= ManagerSocket.pathMax else {
            throw Unusable(text: "NOTIFY_SOCKET is \(Quoted(place)), which is longer than a unix socket's name may be")
        }
        let family = sa_family_t(AF_UNIX)
        var address = withUnsafeBytes(of: family) { Array($0) } + bytes
        if bytes[0] == UInt8(ascii: "@") {
            address[ManagerSocket.pathStart] = 0
        } else {
            address.append(0)
        }
        self.address = address
        let kind = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        descriptor = socket(AF_UNIX, kind, 0)
        guard descriptor >= 0 else {
            throw Unusable(text: "no socket can be made for NOTIFY_SOCKET: \(String(cString: strerror(errno)))")
        }
    }

    /// The one that NOTIFY_SOCKET names; nil, with a warning, where it cannot be used: that is no reason not to serve.
    static func ofEnvironment(_ logger: Logger) -> ManagerSocket? {
        guard let value = getenv("NOTIFY_SOCKET"), value.pointee != 0 else {
            return nil
        }
        do throws(Unusable) {
            return try ManagerSocket(String(cString: value))
        } catch {
            logger.warning("the service manager cannot be told how it goes", metadata: ["reason": "\(error.text)"])
            return nil
        }
    }

    deinit {
        close(descriptor)
    }

    /// Says why the start came to nothing: `systemctl status` shows it.
    func tellFailure(_ lines: [String]) {
        tell(["STATUS=cannot start: \(lines.first ?? "")"])
    }

    /// Tells it, lines of `NAME=value`; what could not be told before comes first. False where the manager cannot be reached.
    @discardableResult
    func tell(_ lines: [String]) -> Bool {
        unsent.append(lines.joined(separator: "\n"))
        if unsent.count > ManagerSocket.unsentMax { unsent.removeFirst() }
        while let next = unsent.first {
            let code = send(next)
            if code == EAGAIN || code == ENOBUFS { return true }
            unsent.removeFirst()
            if code != 0 { return false }
        }
        return true
    }

    private func send(_ text: String) -> Int32 {
        let sent = address.withUnsafeBytes { address in
            var text = text
            return text.withUTF8 { bytes in
                sendto(
                    descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL),
                    address.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(address.count))
            }
        }
        return sent >= 0 ? 0 : errno
    }
}
