// Owns writing to standard output, and what is known of the terminal that may be there.
// Leaves to others: what is written, taking a whole terminal over (TerminalScreen).

import Glibc

/// Standard output.
struct ClientOutput: Sendable {
    let isTerminal: Bool
    /// Whether it is a terminal that can do more than to append lines.
    let isScreen: Bool
    /// Whether colours are wanted: never but on such a terminal, and not where NO_COLOR says so (no-color.org).
    let isInColour: Bool

    init() {
        isTerminal = isatty(STDOUT_FILENO) == 1
        let kind = ConnectionOptions.environment("TERM")
        isScreen = isTerminal && kind != nil && kind != "dumb"
        isInColour = isScreen && ConnectionOptions.environment("NO_COLOR") == nil
    }

    /// Columns and lines of the terminal; nil where there is none.
    var size: (columns: Int, lines: Int)? {
        var size = winsize()
        guard isTerminal, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return nil
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Writes all of it. What could not be written must not look as if it had been: `get -config > FILE` on a full disk.
    func write(_ bytes: some Sequence<UInt8>) throws(ClientFailure) {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
            let code = errno
            if count >= 0 {
                rest = rest.dropFirst(count)
                continue
            }
            switch code {
            case EINTR: continue
            case EAGAIN:
                // Somebody else has made it so; it is theirs to make it otherwise.
                var wait = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
                _ = poll(&wait, 1, -1)
            case EPIPE: throw .readerLeft
            default:
                throw ClientFailure(
                    .fileFault,
                    "standard output cannot be written: \(String(cString: strerror(code))); what it has is not complete"
                )
            }
        }
    }

    func line(_ text: String) throws(ClientFailure) {
        try write("\(text)\n".utf8)
    }

    func table(_ table: TextTable) throws(ClientFailure) {
        let lines = table.lines(width: size?.columns, inColour: isInColour)
        try write(lines.map { "\($0)\n" }.joined().utf8)
    }
}
