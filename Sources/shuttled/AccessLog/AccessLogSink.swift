// Owns what all places have in common that lines of the access log can go to, and the choice among them.
// Leaves to others: each place (StreamSink, DatagramSink), when something is written (AccessLog).

import Glibc
import ShuttleEngine

/// Takes lines. Blocks; called on one thread at a time.
protocol AccessLogSink: AnyObject, Sendable {
    func write(_ lines: [AccessLogSinkLine]) -> AccessLogSinkResult
    /// Opens the place anew: at the start, and when a file was moved away. Returns why it cannot, which is tried again with
    /// each write.
    func reopen() -> String?
}

/// A line without its end, and what of it has a field of its own in the journal.
struct AccessLogSinkLine: Sendable {
    var bytes: [UInt8]
    var service: String
    var backend: String?
    var reason: String
}

/// What became of a batch of lines.
struct AccessLogSinkResult: Sendable, Equatable {
    var written = 0
    /// Lost for good.
    var dropped = 0
    /// Why the last of them was.
    var problem: String?
}

extension AccessLogDestination {
    func makeSink() -> any AccessLogSink {
        switch self {
        case .standardOutput: StreamSink(path: nil)
        case .file(let path): StreamSink(path: path)
        case .syslog(let socket): DatagramSink(socket: socket, protocol: .syslog)
        case .journald(let socket): DatagramSink(socket: socket, protocol: .journald)
        }
    }
}
