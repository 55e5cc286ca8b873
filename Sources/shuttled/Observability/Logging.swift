// Owns the form of the log: one line for each event, on standard error, for people or for programs.
// Leaves to others: what is worth a line.

import FoundationEssentials
import Glibc
import Logging
import NIOCore

/// How log lines are written.
enum LogFormat: String, CaseIterable, Sendable {
    /// `2025-01-31T12:00:00.123Z info configuration changed change="added service web" epoch=4`
    case text
    /// The same as a JSON object.
    case json
}

/// The program's log.
enum Log {
    /// Makes every logger of the process write to standard error in this form, from the levels on that are in force. Once.
    static func bootstrap(format: LogFormat, rules: LogRules) {
        LogLevels.process.begin(with: rules)
        LoggingSystem.bootstrap { label in
            LineLogHandler(
                label: label, format: format, levels: .process, sink: .standardError, gate: .process)
        }
    }

    /// Says now and then what was held back, until the task is cancelled.
    static func tellRests(of handler: LineLogHandler, every interval: TimeAmount, on loop: any EventLoop)
        -> RepeatedTask
    {
        loop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in handler.tellRests() }
    }
}

/// Where lines go; tests collect them.
struct LogSink: Sendable {
    /// Gets a whole line with its newline.
    var write: @Sendable ([UInt8]) -> Void

    /// One write(2) for each line: lines of several threads do not mix. What cannot be written is lost: a full disk or a
    /// closed pipe must not stop a proxy.
    static let standardError = LogSink { write($0, to: STDERR_FILENO) }

    static func write(_ bytes: [UInt8], to descriptor: Int32) {
        bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count < 0, errno == EINTR {
                    continue
                }
                guard count > 0 else {
                    return
                }
                rest = rest.dropFirst(count)
            }
        }
    }
}

/// Writes events as lines.
struct LineLogHandler: LogHandler {
    let label: String
    let format: LogFormat
    /// Nil for `ownLevel`.
    private let levels: LogLevels?
    /// What somebody has set for this logger alone.
    private var ownLevel: Logger.Level?
    /// The part of the program that speaks.
    private var component = LogComponent.process
    let sink: LogSink
    /// Nil for every line.
    private let gate: LogGate?
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    /// One whose level nobody else changes.
    init(label: String, format: LogFormat, logLevel: Logger.Level, sink: LogSink, gate: LogGate? = nil) {
        self.label = label
        self.format = format
        self.sink = sink
        self.gate = gate
        levels = nil
        ownLevel = logLevel
    }

    /// One whose level is that of its part of the program, which may change.
    init(label: String, format: LogFormat, levels: LogLevels, sink: LogSink, gate: LogGate? = nil) {
        self.label = label
        self.format = format
        self.sink = sink
        self.gate = gate
        self.levels = levels
    }

    var logLevel: Logger.Level {
        get { ownLevel ?? levels?.level(of: component) ?? .info }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set {
            metadata[key] = newValue
            if key == LogComponent.metadataKey {
                component = newValue.flatMap { LogComponent(rawValue: $0.description) } ?? .process
            }
        }
    }

    func log(event: LogEvent) {
        if let gate, event.level == .warning || event.level == .error {
            let kind = LogLimiter.Kind(
                component: component, level: event.level, message: event.message.description)
            guard gate.admits(kind, { write($0) }) else {
                return
            }
        }
        write(event)
    }

    /// Says how many lines were held back.
    private func write(_ rest: LogLimiter.Rest) {
        sink.write(
            line(
                time: Timestamp.now(), level: rest.kind.level, message: rest.text,
                metadata: [
                    (LogComponent.metadataKey, rest.kind.component.rawValue), ("held_back", String(rest.count)),
                ]
            )
        )
    }

    /// Says what was held back in windows that are over, or in all.
    func tellRests(endingAll: Bool = false) {
        gate?.tellRests(endingAll: endingAll) { write($0) }
    }

    private func write(_ event: LogEvent) {
        sink.write(
            line(
                time: Timestamp.now(), level: event.level, message: event.message.description,
                metadata: all(event)
            )
        )
    }

    /// Everything known about the event, the more particular value where there are several, sorted by name.
    private func all(_ event: LogEvent) -> [(name: String, value: String)] {
        var all = metadata
        all.merge(metadataProvider?.get() ?? [:]) { $1 }
        all.merge(event.metadata ?? [:]) { $1 }
        if let error = event.error {
            all["error"] = "\(error)"
        }
        return all.sorted { $0.key < $1.key }.map { ($0.key, $0.value.description) }
    }

    func line(
        time: String, level: Logger.Level, message: String, metadata: [(name: String, value: String)]
    ) -> [UInt8] {
        switch format {
        case .text:
            var line = "\(time) \(level.rawValue) \(LineLogHandler.printable(message))"
            for (name, value) in metadata {
                line += " \(name)=\(LineLogHandler.textValue(value))"
            }
            return Array(line.utf8) + [UInt8(ascii: "\n")]
        case .json:
            var line = #"{"time":"\#(time)","level":"\#(level.rawValue)","message":"#
            line += LineLogHandler.jsonString(message)
            // In an object of their own: no name of metadata can hide one of the others.
            if !metadata.isEmpty {
                line += #","metadata":{"#
                line += metadata.map { "\(LineLogHandler.jsonString($0.name)):\(LineLogHandler.jsonString($0.value))" }
                    .joined(separator: ",")
                line += "}"
            }
            return Array("\(line)}\n".utf8)
        }
    }

    // MARK: Values

    /// A value as it is, or in quotes where its end would not be seen.
    static func textValue(_ value: String) -> String {
        let isPlain = !value.isEmpty && value.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x3D }
        return isPlain ? value : "\"\(printable(value, escaping: "\""))\""
    }

    /// Text without control characters: one event stays one line, and a terminal obeys nobody's name for a service.
    private static func printable(_ text: String, escaping quote: Unicode.Scalar? = nil) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\\" where quote != nil: result += "\\\\"
            case _ where scalar == quote: result += "\\\""
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func jsonString(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// The time of day in log lines: RFC 3339, UTC, milliseconds.
enum Timestamp {
    static func now() -> String {
        let milliseconds = Int((Date().timeIntervalSince1970 * 1000).rounded(.down))
        return text(milliseconds: milliseconds)
    }

    /// `milliseconds` since 1970, not before.
    static func text(milliseconds: Int) -> String {
        let (days, rest) = (milliseconds / 86_400_000, milliseconds % 86_400_000)
        let (year, month, day) = date(daysSince1970: days)
        let seconds = rest / 1000
        return "\(digits(year, 4))-\(digits(month, 2))-\(digits(day, 2))T"
            + "\(digits(seconds / 3600, 2)):\(digits(seconds / 60 % 60, 2)):\(digits(seconds % 60, 2))"
            + ".\(digits(rest % 1000, 3))Z"
    }

    /// The Gregorian date of a day. Years are counted from March, so that a leap day is the last day of its year.
    private static func date(daysSince1970 days: Int) -> (year: Int, month: Int, day: Int) {
        let sinceEra = days + 719_468
        let (era, dayOfEra) = (sinceEra / 146_097, sinceEra % 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func digits(_ number: Int, _ count: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
    }
}
