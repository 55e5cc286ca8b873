// Owns how many requests may take long at the same time, by kind.
// Leaves to others: the connections that they keep (ConnectionTable), how long each may take (the resources).

import Synchronization

/// Why an answer takes long.
enum LongAnswerKind: Sendable {
    /// It is long in coming.
    case wait
    /// It goes on for as long as its client takes it.
    case stream
}

/// Counts the requests that take long: there are fewer places for them than connections, so that whoever wants to look or
/// to change something always finds one.
final class LongAnswerPlaces: Sendable {
    private let limits: AdminLimits
    private let taken = Mutex<[LongAnswerKind: Int]>([:])

    init(_ limits: AdminLimits) {
        self.limits = limits
    }

    /// A place, given back with the last reference to it: also where an answer was never begun since its connection broke.
    final class Place: Sendable {
        private let places: LongAnswerPlaces
        private let kind: LongAnswerKind

        fileprivate init(_ places: LongAnswerPlaces, _ kind: LongAnswerKind) {
            self.places = places
            self.kind = kind
        }

        deinit {
            places.taken.withLock { $0[kind, default: 0] -= 1 }
        }
    }

    /// A place for one that waits.
    func takeForWait() throws(ProblemDetails) -> Place {
        guard let place = take(.wait, max: limits.waitersMax) else {
            throw ProblemDetails(
                .tooManyWaiting,
                "\(limits.waitersMax) requests wait already, and no more may at the same time; try again in a few "
                    + "seconds, or look by GET /{service}",
                headers: [.retryAfter: "5"]
            )
        }
        return place
    }

    /// A place for one that is told events.
    func takeForStream() throws(ProblemDetails) -> Place {
        guard let place = take(.stream, max: limits.eventStreamsMax) else {
            throw ProblemDetails(
                .tooManyWaiting,
                "\(limits.eventStreamsMax) clients are told events already, and no more may be at the same time; end one "
                    + "of them, or have one pass them on to the others",
                headers: [.retryAfter: "30"]
            )
        }
        return place
    }

    private func take(_ kind: LongAnswerKind, max maximum: Int) -> Place? {
        let hasRoom = taken.withLock { taken in
            guard taken[kind, default: 0] < maximum else {
                return false
            }
            taken[kind, default: 0] += 1
            return true
        }
        return hasRoom ? Place(self, kind) : nil
    }
}
