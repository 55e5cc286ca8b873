// Owns taking a stream of server-sent events apart (HTML, 9.2.6), as it comes.
// Leaves to others: what they tell (EventsCommand).

/// An event as it came.
struct ReceivedEvent: Equatable, Sendable {
    var id: String
    var name: String
    var data: String
}

/// Reads events out of pieces of a stream, wherever these are cut.
struct ServerSentEvents: Sendable {
    /// The id of the last event, which a stream that goes on begins behind. It also comes with signs of life.
    private(set) var lastID: String?
    private var line: [UInt8] = []
    private var name = ""
    private var data: [String] = []

    init(lastID: String? = nil) {
        self.lastID = lastID
    }

    /// The events that are complete with these bytes.
    mutating func take(_ bytes: some Sequence<UInt8>) -> [ReceivedEvent] {
        var events: [ReceivedEvent] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                continue
            }
            if line.last == UInt8(ascii: "\r") {
                line.removeLast()
            }
            let text = String(decoding: line, as: UTF8.self)
            line.removeAll(keepingCapacity: true)
            if text.isEmpty {
                if !data.isEmpty {
                    events.append(ReceivedEvent(id: lastID ?? "", name: name, data: data.joined(separator: "\n")))
                }
                name = ""
                data = []
            } else {
                takeLine(text)
            }
        }
        return events
    }

    private mutating func takeLine(_ text: String) {
        let colon = text.firstIndex(of: ":")
        let value = colon.map { text[text.index(after: $0)...] } ?? ""
        let plain = String(value.first == " " ? value.dropFirst() : value)
        switch text[..<(colon ?? text.endIndex)] {
        case "id": lastID = plain
        case "event": name = plain
        case "data": data.append(plain)
        default: break
        }
    }
}

extension ReceivedEvent {
    /// One line for people: when, what, where, and the rest by name.
    func line() -> String {
        guard let root = try? JSONDocument(parsing: Array(data.utf8)).root, root.kind == .object else {
            return Printable.line("\(name) \(data)")
        }
        let time = root.member("time")?.string ?? String(repeating: " ", count: 24)
        let service = root.member("service")?.string
        let subject = [service, root.member("backend")?.string].compactMap { $0 }.joined(separator: "/")
        var parts = [time, name.padded(to: 15)] + (subject.isEmpty ? [] : [subject])
        for member in root.children {
            let field = member.name ?? ""
            let value = JSONText.oneLine(member)
            if !["time", "service", "backend"].contains(field), !value.isEmpty {
                let isPlain = !value.contains { $0.isWhitespace || $0 == "\"" }
                var writer = JSONWriter()
                writer.value(value)
                let quoted = String(decoding: writer.finish(trailingNewline: false), as: UTF8.self)
                parts.append("\(field)=\(isPlain ? value : quoted)")
            }
        }
        return Printable.line(parts.joined(separator: " "))
    }

    /// The same for programs: the data with the event's id and name before it.
    func json() -> [UInt8] {
        var writer = JSONWriter(isOnOneLine: true)
        writer.object { writer in
            writer.member("id", id)
            writer.member("event", name)
            if let root = try? JSONDocument(parsing: Array(data.utf8)).root, root.kind == .object {
                for member in root.children where member.name != "id" && member.name != "event" {
                    writer.name(member.name ?? "")
                    JSONText.copy(member, to: &writer)
                }
            } else {
                writer.member("data", data)
            }
        }
        return writer.finish(trailingNewline: true)
    }
}

extension String {
    func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
