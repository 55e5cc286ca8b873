// Owns what a simulation remembers of its run: the last events, the first violation, and saying both to people.

/// What a simulation found wrong. The kinds are what tests of the simulation itself tell apart.
enum ViolationKind: String {
    /// A peer got bytes that the other side did not send at that place.
    case content
    /// A peer saw an end, or a reset, that does not follow from what the other side did.
    case end
    /// Bytes that came before a reset were not delivered.
    case flush
    /// The worker used the kernel in a way that has no meaning: our bug.
    case misuse
    /// A completion or an operation touched another session than its own.
    case crossed
    /// Buffers, descriptors, sessions or records do not add up.
    case leak
    /// Counters differ from what the network saw.
    case counters
    /// Somebody waits who could go on.
    case stuck
    /// Turns without anything happening.
    case spin
    /// A backend was chosen that the configuration does not allow.
    case balance
    /// More were let in than a limit allows.
    case limit
    /// A snapshot was not taken up, or not as a whole.
    case snapshot
}

struct Violation: Error, CustomStringConvertible {
    let kind: ViolationKind
    let text: String
    var description: String { "\(kind.rawValue): \(text)" }
}

/// Events are kept as numbers and put into words only when somebody reads them.
final class EventLog {
    private struct Event {
        var time: UInt64
        var words: StaticString
        var numbers: (Int, Int, Int, Int)
    }

    private static let keptMax = 64

    private var events: [Event] = []
    private var count = 0
    private let isVerbose: Bool
    private(set) var violation: Violation?

    init(isVerbose: Bool) {
        self.isVerbose = isVerbose
        events.reserveCapacity(EventLog.keptMax)
    }

    /// Each `%` of `words` stands for the next number.
    func note(
        _ time: UInt64, _ words: StaticString, _ first: Int = 0, _ second: Int = 0, _ third: Int = 0, _ fourth: Int = 0
    ) {
        let event = Event(time: time, words: words, numbers: (first, second, third, fourth))
        if events.count < EventLog.keptMax {
            events.append(event)
        } else {
            events[count % EventLog.keptMax] = event
        }
        count += 1
        if isVerbose { print(EventLog.line(event)) }
    }

    /// Only the first violation counts: those that follow are its consequences.
    func violate(_ time: UInt64, _ kind: ViolationKind, _ text: String) {
        guard violation == nil else { return }
        violation = Violation(kind: kind, text: "at \(time) ms: \(text)")
        if isVerbose { print("VIOLATION \(violation!)") }
    }

    /// The last events, oldest first.
    var lines: [String] {
        let start = events.count < EventLog.keptMax ? 0 : count % EventLog.keptMax
        return events.indices.map { EventLog.line(events[(start + $0) % events.count]) }
    }

    private static func line(_ event: Event) -> String {
        var numbers = [event.numbers.0, event.numbers.1, event.numbers.2, event.numbers.3][...]
        var text = ""
        for character in event.words.description {
            if character == "%" {
                text += "\(numbers.removeFirst())"
            } else {
                text.append(character)
            }
        }
        return "\(event.time) ms  \(text)"
    }
}
