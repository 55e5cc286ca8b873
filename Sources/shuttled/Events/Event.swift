// Owns what an event is: something that happened, of a kind, with a few values.
// Leaves to others: keeping them (EventLog), posting them (Control, Process), printing them (Admin).

/// What kinds of things are told. The raw values are their names on the wire.
enum EventKind: String, CaseIterable, Sendable {
    /// The admin API takes requests.
    case start
    /// The process is to end: when it begins to drain, and when it has.
    case stop
    /// The configuration was changed.
    case change
    /// A change waits to be confirmed; it was; it was taken back; or it should have been.
    case confirmPending = "confirm-pending"
    case confirmed
    case reverted
    case revertFailed = "revert-failed"
    /// The configuration file was read again, or should have been.
    case reload
    /// The file of tokens was.
    case tokenReload = "token-reload"
    case backendUp = "backend-up"
    case backendDown = "backend-down"
    /// A backend that takes nothing new has no sessions left.
    case backendDrained = "backend-drained"
    /// A service has begun to turn clients away, or to let them wait, for a limit; and has not for a while.
    case limitBegin = "limit-begin"
    case limitEnd = "limit-end"
    /// Connections are ended because somebody asked for it: one, or a job of many when it begins and when it is over.
    case disconnect
    /// An address could not be listened on.
    case listenFailed = "listen-failed"
    /// Rings do not accept for want of descriptors or slots; and do again.
    case acceptPaused = "accept-paused"
    case acceptResumed = "accept-resumed"
}

/// A value of an event.
enum EventValue: Equatable, Sendable {
    case text(String)
    case number(Int)

    static func number(_ value: UInt64) -> EventValue { .number(Int(clamping: value)) }
}

/// Something that happened.
struct Event: Equatable, Sendable {
    struct Field: Equatable, Sendable {
        var name: String
        var value: EventValue
    }

    /// Counts the events of the process, from 1 on.
    var number: UInt64
    /// Time of day, since 1970.
    var milliseconds: Int
    var kind: EventKind
    /// In the order in which they are told.
    var fields: [Field]

    /// Bytes of a text at most; what exceeds them is cut off. Names may come from clients, and events are kept.
    static let textBytesMax = 512

    /// Fields without a value are left out.
    init(number: UInt64, milliseconds: Int, kind: EventKind, _ fields: KeyValuePairs<String, EventValue?>) {
        self.number = number
        self.milliseconds = milliseconds
        self.kind = kind
        self.fields = fields.compactMap { name, value in
            guard case .text(let text) = value else {
                return value.map { Field(name: name, value: $0) }
            }
            return Field(name: name, value: .text(Event.bounded(text)))
        }
    }

    static func bounded(_ text: String) -> String {
        guard text.utf8.count > textBytesMax else {
            return text
        }
        var bounded = ""
        var count = 0
        for scalar in text.unicodeScalars {
            count += UTF8.width(scalar)
            if count > textBytesMax {
                break
            }
            bounded.unicodeScalars.append(scalar)
        }
        return bounded + "…"
    }
}
