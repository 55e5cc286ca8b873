// Owns the form in which events are sent: server-sent events, as browsers read them, with one line of JSON each.
// Leaves to others: which are sent to whom (EventStream).

/// Prints events.
enum EventEncoder {
    /// What a stream begins with: it says that it is there, and after what time to come again when it breaks.
    static let preamble = Array(": events of shuttled\nretry: 2000\n\n".utf8)

    /// Nothing has happened, and the connection is in use all the same. The id spares who comes again what it did not want
    /// to be told; an event without data is none (HTML, 9.2.6).
    static func keepAlive(id: String) -> [UInt8] { Array(": nothing new\nid: \(id)\n\n".utf8) }

    static func bytes(of event: Event, id: String) -> [UInt8] {
        bytes(event.kind.rawValue, id: id) { writer in
            writer.member("time", Timestamp.text(milliseconds: event.milliseconds))
            for field in event.fields {
                switch field.value {
                case .text(let text): writer.member(field.name, text)
                case .number(let number): writer.member(field.name, number)
                }
            }
        }
    }

    /// Tells that there is a gap before the events that follow. `id` is that of the event before those.
    static func missed(_ gap: EventLog.Gap, id: String) -> [UInt8] {
        let detail =
            switch gap {
            case .tooOld: "events after the one with this id are not kept any more"
            case .otherProcess: "the id is of another process: shuttled was started anew, or it is another one"
            case .unknown: "no event has had this id yet"
            }
        return bytes("missed", id: id) { writer in
            writer.member("reason", gap.rawValue)
            writer.member(
                "detail", "\(detail); what follows begins with the oldest that is kept, so read the state anew")
        }
    }

    private static func bytes(_ name: String, id: String, _ members: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter(isOnOneLine: true)
        writer.object(members)
        return Array("id: \(id)\nevent: \(name)\ndata: ".utf8) + writer.finish(trailingNewline: true)
            + [UInt8(ascii: "\n")]
    }
}
