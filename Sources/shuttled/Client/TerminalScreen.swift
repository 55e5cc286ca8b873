// Owns a terminal that is taken over as a whole, key by key, and given back as it was: also by signals, and when stopped.
// Leaves to others: what is shown (WatchCommand).

import Glibc
import Synchronization

/// What wakes whoever waits at a screen.
enum ScreenEvent: Equatable, Sendable {
    case key(ScreenKey)
    /// The terminal has another size.
    case resized
    /// It is to end: by a signal, or since the terminal has gone.
    case end(signal: Int32?)
    /// Somebody has called `wake`.
    case woken
}

enum ScreenKey: Equatable, Sendable {
    case quit, up, down, pageUp, pageDown, first, last, trouble, other

    /// The keys of what was read. An escape sequence comes in one piece from a terminal.
    static func all(in bytes: [UInt8]) -> [ScreenKey] {
        var keys: [ScreenKey] = []
        var rest = bytes[...]
        while let byte = rest.first {
            if byte == 0x1B, rest.dropFirst().first == UInt8(ascii: "[") || rest.dropFirst().first == UInt8(ascii: "O")
            {
                let sequence = rest.dropFirst(2)
                let end = sequence.firstIndex { (0x40...0x7E).contains($0) } ?? sequence.endIndex
                let text = String(decoding: sequence[..<min(end + 1, sequence.endIndex)], as: UTF8.self)
                keys.append(named[text] ?? .other)
                rest = sequence[min(end + 1, sequence.endIndex)...]
                continue
            }
            rest = rest.dropFirst()
            switch byte {
            // With ^D, of which the terminal makes no end here.
            case UInt8(ascii: "q"), UInt8(ascii: "Q"), 0x04: keys.append(.quit)
            case UInt8(ascii: "k"): keys.append(.up)
            case UInt8(ascii: "j"), UInt8(ascii: "\n"), UInt8(ascii: "\r"): keys.append(.down)
            case UInt8(ascii: "b"): keys.append(.pageUp)
            case UInt8(ascii: " "), UInt8(ascii: "f"): keys.append(.pageDown)
            case UInt8(ascii: "g"): keys.append(.first)
            case UInt8(ascii: "G"): keys.append(.last)
            case UInt8(ascii: "d"): keys.append(.trouble)
            default: keys.append(.other)
            }
        }
        return keys
    }

    private static let named: [String: ScreenKey] = [
        "A": .up, "B": .down, "5~": .pageUp, "6~": .pageDown, "H": .first, "F": .last, "1~": .first, "4~": .last,
    ]
}

/// The terminal while it is taken over. Signals only write a byte meanwhile, so that none ends the process before the
/// terminal is as it was. There is one in a process.
final class TerminalScreen {
    /// Those that would leave the terminal as it is.
    private static let signals = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH]
    /// Another screen, no cursor, and what is too long for a line is cut off by the terminal.
    private static let enter = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l"
    private static let leave = "\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"
    /// Where bytes are written to: the number of a signal, or 0 for `wake`.
    private static let bell = Atomic<Int32>(-1)

    private let output: ClientOutput
    private let bellEnd: Int32
    private let before: termios
    private var isTaken = false

    init(_ output: ClientOutput) throws(ClientFailure) {
        var settings = termios()
        guard tcgetattr(STDIN_FILENO, &settings) == 0 else {
            throw ClientFailure(.fileFault, "the terminal tells no settings: \(String(cString: strerror(errno)))")
        }
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0, ends.allSatisfy({ fcntl($0, F_SETFL, O_NONBLOCK) == 0 }) else {
            throw ClientFailure(.fileFault, "there is no pipe to be had: \(String(cString: strerror(errno)))")
        }
        bellEnd = ends[0]
        before = settings
        self.output = output
        TerminalScreen.bell.store(ends[1], ordering: .releasing)
        for signal in TerminalScreen.signals {
            Glibc.signal(signal) { TerminalScreen.ring(UInt8(truncatingIfNeeded: $0)) }
        }
    }

    /// Has whoever waits at the screen go on; from any thread.
    @Sendable static func wake() {
        ring(0)
    }

    /// Also called by signals. A pipe that is full has enough in it.
    private static func ring(_ byte: UInt8) {
        let code = errno
        var byte = byte
        _ = write(bell.load(ordering: .acquiring), &byte, 1)
        errno = code
    }

    deinit {
        giveBack()
    }

    func takeOver() throws(ClientFailure) {
        guard !isTaken else {
            return
        }
        isTaken = true
        var settings = before
        settings.c_lflag &= ~tcflag_t(ICANON | ECHO)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &settings)
        try output.write(TerminalScreen.enter.utf8)
    }

    func giveBack() {
        guard isTaken else {
            return
        }
        isTaken = false
        // A terminal that has gone needs nothing back.
        try? output.write(TerminalScreen.leave.utf8)
        var settings = before
        tcsetattr(STDIN_FILENO, TCSADRAIN, &settings)
    }

    /// Shows these lines and no others.
    func show(_ lines: [String]) throws(ClientFailure) {
        // Each line is cleared behind its text and the rest once: no flicker, as there is when all is cleared before.
        let text = lines.map { "\($0)\u{1B}[K" }.joined(separator: "\n")
        try output.write("\u{1B}[H\(text)\u{1B}[J".utf8)
    }

    /// Waits for the next things that happen, so long at most; without a limit where it is -1.
    func next(milliseconds: Int32) throws(ClientFailure) -> [ScreenEvent] {
        var waits = [STDIN_FILENO, bellEnd].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard poll(&waits, 2, milliseconds) > 0 else {
            return []
        }
        var events: [ScreenEvent] = []
        if waits[1].revents != 0 {
            for byte in bytes(from: bellEnd) ?? [] {
                try events.append(contentsOf: event(of: Int32(byte)))
            }
        }
        if waits[0].revents != 0 {
            guard let bytes = bytes(from: STDIN_FILENO) else {
                return events + [.end(signal: nil)]
            }
            events += ScreenKey.all(in: bytes).map(ScreenEvent.key)
        }
        return events
    }

    /// What is there to be read, nil at the end.
    private func bytes(from descriptor: Int32) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 256)
        let length = read(descriptor, &bytes, bytes.count)
        if length < 0, errno == EINTR || errno == EAGAIN {
            return []
        }
        return length > 0 ? Array(bytes.prefix(length)) : nil
    }

    private func event(of signal: Int32) throws(ClientFailure) -> [ScreenEvent] {
        switch signal {
        case 0: return [.woken]
        case SIGWINCH: return [.resized]
        case SIGCONT:
            try takeOver()
            return [.resized]
        case SIGTSTP:
            giveBack()
            raise(SIGSTOP)
            return []
        default: return [.end(signal: signal)]
        }
    }

    /// Ends the process as the signal would have, once the terminal is as it was.
    func end(by signal: Int32) -> Never {
        giveBack()
        Glibc.signal(signal, SIG_DFL)
        raise(signal)
        // Not reached: nobody ignores it.
        exit(128 + signal)
    }
}
