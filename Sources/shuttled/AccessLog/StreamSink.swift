// Owns lines of the access log that go to a file or to standard output. Leaves to others: their form (AccessLogLine).

import Glibc
import Synchronization

/// Appends whole lines. A file that cannot be opened or written loses the lines of that time and is tried again with the next
/// ones; what was written of a line before a disk was full is ended, so that the next line begins on its own.
final class StreamSink: AccessLogSink {
    private struct State {
        var descriptor: Int32
        /// The last write left a line without its end.
        var isInLine = false
    }

    /// nil for standard output.
    private let path: String?
    private let write: @Sendable (Int32, UnsafeRawBufferPointer) -> Int
    private let state: Mutex<State>

    /// `write` is write(2) but for tests.
    init(
        path: String?,
        write: @escaping @Sendable (Int32, UnsafeRawBufferPointer) -> Int = { descriptor, bytes in
            Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        }
    ) {
        self.path = path
        self.write = write
        state = Mutex(State(descriptor: path == nil ? STDOUT_FILENO : -1))
    }

    deinit {
        state.withLock { close(&$0) }
    }

    func reopen() -> String? {
        state.withLock { state in
            close(&state)
            return open(&state)
        }
    }

    private func close(_ state: inout State) {
        guard path != nil else {
            return
        }
        if state.descriptor >= 0 {
            Glibc.close(state.descriptor)
        }
        state = State(descriptor: -1)
    }

    /// Why it cannot be opened; nil when it is open.
    private func open(_ state: inout State) -> String? {
        guard state.descriptor < 0, let path else {
            return nil
        }
        // A pipe that nobody reads is not waited for. No O_NOFOLLOW: a link to where logs are kept is what people use.
        let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
        state.descriptor = Glibc.open(path, flags, 0o640)
        guard state.descriptor >= 0 else {
            return "cannot open \(path): \(String(cString: strerror(errno)))"
        }
        // But writing to it waits for its reader.
        _ = fcntl(state.descriptor, F_SETFL, O_APPEND)
        return nil
    }

    func write(_ lines: [AccessLogSinkLine]) -> AccessLogSinkResult {
        state.withLock { state in
            if let problem = open(&state) {
                return AccessLogSinkResult(dropped: lines.count, problem: problem)
            }
            var bytes: [UInt8] = state.isInLine ? [UInt8(ascii: "\n")] : []
            // Where each line ends.
            var ends: [Int] = []
            for line in lines {
                bytes += line.bytes
                bytes.append(UInt8(ascii: "\n"))
                ends.append(bytes.count)
            }
            let (count, code) = writeAll(bytes, to: state.descriptor)
            if count > 0 {
                state.isInLine = bytes[count - 1] != UInt8(ascii: "\n")
            }
            let written = ends.count { $0 <= count }
            let problem = code == 0 ? nil : "cannot write \(path ?? "stdout"): \(String(cString: strerror(code)))"
            return AccessLogSinkResult(written: written, dropped: lines.count - written, problem: problem)
        }
    }

    /// How many bytes have gone, and the errno that ended it.
    private func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> (count: Int, code: Int32) {
        bytes.withUnsafeBytes { buffer in
            var count = 0
            while count < buffer.count {
                let written = write(descriptor, UnsafeRawBufferPointer(rebasing: buffer[count...]))
                if written < 0, errno == EINTR {
                    continue
                }
                // A stdout that its parent has set so waits like any other.
                if written < 0, errno == EAGAIN {
                    var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&entry, 1, -1)
                    continue
                }
                guard written > 0 else {
                    return (count, written < 0 ? errno : EIO)
                }
                count += written
            }
            return (count, 0)
        }
    }
}
