// Owns what is kept of a name's answers: the addresses in use, the failure of now, when to ask again. Pure.
// Leaves to others: asking (NameWatch), what backends come of it (BackendExpansion).

import NIOCore
import ShuttleEngine

/// A server that a name stands for, at the one address that is used.
struct ResolvedTarget: Hashable, Sendable {
    var host: String
    /// Of an SRV record; 0 for a host.
    var port: UInt16
    var priority: Int
    var weight: Int
    /// Port 0.
    var address: ShuttleEngine.SocketAddress
}

/// How often a name is asked for again, as those who use it want it.
struct NamePace: Equatable, Sendable {
    /// Of those who want a fixed one, the shortest.
    private(set) var intervalMilliseconds: Int?
    private(set) var usesTimeToLive = false

    /// Takes in one user's wish; 0 is the time to live of the answer.
    mutating func include(intervalMilliseconds: Int) {
        if intervalMilliseconds == 0 {
            usesTimeToLive = true
        } else {
            self.intervalMilliseconds = min(self.intervalMilliseconds ?? .max, intervalMilliseconds)
        }
    }
}

/// One name over time.
///
/// A backend uses one address of a host and stays with it as long as the host has it: an answer whose order changes
/// moves nobody. A failure changes nothing but that it is known.
struct NameMemory: Sendable {
    /// A shorter time to live does not have a name asked for more often.
    static let timeToLiveMin: TimeAmount = .seconds(1)
    /// A longer one does not keep an address that has been given to others since.
    static let timeToLiveMax: TimeAmount = .minutes(5)
    /// For sources that do not say, such as `/etc/hosts`, which cost next to nothing.
    static let timeToLiveUnknown: TimeAmount = .seconds(5)
    /// After failures: a second, twice as long each time, and this at most.
    static let retryMax: TimeAmount = .seconds(30)

    /// What an answer has changed.
    struct Effect: Equatable, Sendable {
        /// The targets are others than before.
        var hasMoved = false
        var hasBegunToFail = false
        var hasRecovered = false
    }

    /// Of the last good answer; none before the first.
    private(set) var targets: [ResolvedTarget] = []
    /// What is wrong now.
    private(set) var failure: NameFailure?
    /// When the last good answer came, in seconds since 1970.
    private(set) var answerTime: Int?
    private var timeToLive = NameMemory.timeToLiveUnknown
    private var failuresInARow = 0

    /// Takes in what came of asking, at `time` in seconds since 1970.
    mutating func take(_ result: Result<NameAnswer, NameFailure>, time: Int) -> Effect {
        let wasFailing = failure != nil
        var effect = Effect()
        switch result {
        case .success(let answer):
            let chosen = choose(from: answer.targets)
            effect.hasMoved = chosen != targets
            targets = chosen
            answerTime = time
            failuresInARow = 0
            timeToLive = answer.timeToLiveSeconds.map(NameMemory.clamped) ?? NameMemory.timeToLiveUnknown
            let missing = answer.targets.filter(\.addresses.isEmpty).map(\.host)
            failure =
                missing.isEmpty
                ? nil : NameFailure(reason: "has targets that do not resolve: \(missing.joined(separator: ", "))")
        case .failure(let failure):
            self.failure = failure
            failuresInARow += 1
        }
        effect.hasBegunToFail = !wasFailing && failure != nil
        effect.hasRecovered = wasFailing && failure == nil
        return effect
    }

    /// How long to wait until the name is asked for again.
    func delay(_ pace: NamePace) -> TimeAmount {
        var delay = NameMemory.timeToLiveMax
        if pace.usesTimeToLive || pace.intervalMilliseconds == nil {
            delay = failuresInARow == 0 ? timeToLive : delay
        }
        if let interval = pace.intervalMilliseconds {
            let fixed = TimeAmount.milliseconds(Int64(interval))
            delay = pace.usesTimeToLive ? min(delay, fixed) : fixed
        }
        guard failuresInARow > 0 else {
            return delay
        }
        // No more than ten doublings: the limit is reached long before.
        return min(delay, NameMemory.retryMax, .seconds(1 << Int64(min(failuresInARow - 1, 10))))
    }

    private static func clamped(_ seconds: Int) -> TimeAmount {
        min(max(.seconds(Int64(seconds)), timeToLiveMin), timeToLiveMax)
    }

    private func choose(from answered: [NameTarget]) -> [ResolvedTarget] {
        var present: [String: ShuttleEngine.SocketAddress] = [:]
        for target in targets {
            present[target.host] = target.address
        }
        var chosen: [ResolvedTarget] = []
        var taken: Set<String> = []
        for target in answered where taken.insert("\(target.host):\(target.port)").inserted {
            let address: ShuttleEngine.SocketAddress?
            if let now = present[target.host],
                target.addresses.contains(now) || target.familiesUnknown.contains(now.family)
            {
                address = now
            } else {
                address = target.addresses.first
            }
            if let address {
                chosen.append(
                    ResolvedTarget(
                        host: target.host, port: target.port, priority: target.priority, weight: target.weight,
                        address: address
                    )
                )
            }
        }
        return chosen
    }
}
