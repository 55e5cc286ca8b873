// Owns lines of the access log that go to syslog or to systemd's journal: a datagram to a unix socket for each.
// Leaves to others: the form of lines (AccessLogLine).

import Glibc
import Synchronization

/// Sends each line by itself. The socket is connected when it is needed, and anew when its other end was restarted.
final class DatagramSink: AccessLogSink {
    enum MessageProtocol: Sendable {
        /// As syslog(3) writes to /dev/log: `<30>Nov 27 05:23:29 shuttled[123]: …`
        case syslog
        /// systemd's native protocol: a field on each line.
        case journald
    }

    /// How long the other end may take for one line before it is lost.
    private static let patience = timeval(tv_sec: 1, tv_usec: 0)

    private let path: String
    private let messageProtocol: MessageProtocol
    private let descriptor = Mutex<Int32>(-1)

    init(socket path: String, protocol messageProtocol: MessageProtocol) {
        self.path = path
        self.messageProtocol = messageProtocol
    }

    deinit {
        descriptor.withLock { DatagramSink.close(&$0) }
    }

    func reopen() -> String? {
        descriptor.withLock { descriptor in
            DatagramSink.close(&descriptor)
            let code = connect(&descriptor)
            return code == 0 ? nil : "cannot connect to \(path): \(String(cString: strerror(code)))"
        }
    }

    private static func close(_ descriptor: inout Int32) {
        if descriptor >= 0 {
            Glibc.close(descriptor)
        }
        descriptor = -1
    }

    func write(_ lines: [AccessLogSinkLine]) -> AccessLogSinkResult {
        let now = time(nil)
        return descriptor.withLock { descriptor in
            var result = AccessLogSinkResult()
            for line in lines {
                // One that does not take what it gets keeps its lines of this batch, not those of a whole minute.
                let code = result.problem == nil ? send(message(line, now), &descriptor) : EAGAIN
                if code == 0 {
                    result.written += 1
                } else {
                    result.dropped += 1
                    if result.problem == nil {
                        result.problem = "cannot send to \(path): \(String(cString: strerror(code)))"
                    }
                }
            }
            return result
        }
    }

    private func send(_ message: [UInt8], _ descriptor: inout Int32) -> Int32 {
        for attempt in 1...2 {
            if descriptor < 0 {
                let code = connect(&descriptor)
                guard code == 0 else {
                    return code
                }
            }
            let flags = Int32(MSG_NOSIGNAL)
            let sent = message.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, flags) }
            if sent >= 0 {
                return 0
            }
            let code = errno
            // It was restarted; the path leads to its new socket.
            guard attempt == 1, code == ECONNREFUSED || code == ENOTCONN || code == ECONNRESET else {
                return code
            }
            DatagramSink.close(&descriptor)
        }
        return ECONNREFUSED
    }

    private func connect(_ descriptor: inout Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            return ENAMETOOLONG
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let made = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard made >= 0 else {
            return errno
        }
        var patience = DatagramSink.patience
        setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(made, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let code = errno
            Glibc.close(made)
            return code
        }
        descriptor = made
        return 0
    }

    // MARK: Messages

    /// Facility daemon, severity informational.
    private static let priority = 3 * 8 + 6

    func message(_ line: AccessLogSinkLine, _ now: time_t) -> [UInt8] {
        switch messageProtocol {
        case .syslog:
            let start = "<\(DatagramSink.priority)>\(DatagramSink.date(now)) shuttled[\(getpid())]: "
            return Array(start.utf8) + line.bytes
        case .journald:
            // A line has no end within, nor have names.
            var fields = "PRIORITY=6\nSYSLOG_IDENTIFIER=shuttled\nSHUTTLE_SERVICE=\(line.service)\n"
            if let backend = line.backend {
                fields += "SHUTTLE_BACKEND=\(backend)\n"
            }
            fields += "SHUTTLE_REASON=\(line.reason)\nMESSAGE="
            return Array(fields.utf8) + line.bytes + [UInt8(ascii: "\n")]
        }
    }

    /// `Nov 27 05:23:29`, in local time as syslog(3) has it.
    private static func date(_ now: time_t) -> String {
        var (now, parts) = (now, tm())
        localtime_r(&now, &parts)
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func padded(_ number: Int32, with pad: String) -> String { number < 10 ? "\(pad)\(number)" : "\(number)" }
        return "\(months[Int(parts.tm_mon)]) \(padded(parts.tm_mday, with: " ")) \(padded(parts.tm_hour, with: "0"))"
            + ":\(padded(parts.tm_min, with: "0")):\(padded(parts.tm_sec, with: "0"))"
    }
}
