// Owns the form of one line of the access log. Leaves to others: the fields (FinishedSessionFields), where lines go.

import ShuttleEngine

/// Prints finished sessions as lines without their ends.
struct AccessLogLine: Sendable {
    let format: AccessLogFormat

    func bytes(of session: FinishedSession, _ clock: SessionClock) -> [UInt8] {
        switch format {
        case .json:
            var writer = JSONWriter(capacity: 700, isOnOneLine: true)
            FinishedSessionFields.write(session, clock, to: &writer)
            return writer.finish(trailingNewline: false)
        case .text:
            var line: [UInt8] = []
            line.reserveCapacity(500)
            FinishedSessionFields.forEach(of: session, clock) { field, value in
                guard value != .none else {
                    return
                }
                if !line.isEmpty {
                    line.append(UInt8(ascii: " "))
                }
                line += field.rawValue.utf8
                line.append(UInt8(ascii: "="))
                switch value {
                case .text(let text): line += LineLogHandler.textValue(text).utf8
                case .number(let number): line += String(number).utf8
                case .none: break
                }
            }
            return line
        }
    }
}
