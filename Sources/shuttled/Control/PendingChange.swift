// Owns what a change is that is taken back unless somebody confirms it: what it did, until when it waits, and what the
// configuration is without it; pure.
// Leaves to others: its file and its time (ConfirmationKeeper), and the change that takes it back (ControlPlane).

import NIOCore
import ShuttleEngine

/// A change that waits to be confirmed.
struct PendingChange: Sendable, Equatable {
    /// That of its entry in the history.
    var id: Int
    /// When it was made, since 1970.
    var milliseconds: Int
    /// How long it waits.
    var limitMilliseconds: Int
    var peer: String
    var request: String
    /// Name of the token that the request was made with, where there are tokens.
    var token: String?
    /// The services that it changed, as they were: what they are again when it is taken back. Sorted by name.
    var before: [HistoryEntry.Delta]
    /// The same services after it.
    var after: [HistoryEntry.Delta]

    /// When it is taken back, since 1970.
    var untilMilliseconds: Int { milliseconds + limitMilliseconds }

    var services: [String] { after.map(\.name) }

    /// How long it still waits at a time of day. Never longer than it was to wait: the clock may have been set back.
    func remainingMilliseconds(at now: Int) -> Int {
        max(0, min(untilMilliseconds - now, limitMilliseconds))
    }

    /// Whether a configuration has what it did.
    func isIn(_ services: [ServiceConfiguration]) -> Bool {
        let live = Dictionary(uniqueKeysWithValues: services.map { ($0.name, $0) })
        return after.allSatisfy { live[$0.name] == $0.after }
    }

    /// A configuration without it, sorted by name.
    func reverted(from services: [ServiceConfiguration]) -> [ServiceConfiguration] {
        let touched = Set(self.services)
        return ConfigurationEncoder.sorted(
            services.filter { !touched.contains($0.name) } + before.compactMap(\.after)
        )
    }

    /// Those of its services that are another thing in `services`, by name.
    func servicesChanged(in services: [ServiceConfiguration]) -> [String] {
        let next = Dictionary(uniqueKeysWithValues: services.map { ($0.name, $0) })
        return after.filter { next[$0.name] != $0.after }.map(\.name)
    }

    /// What it changed, in lines.
    var lines: [String] {
        ConfigurationDiff(from: before.compactMap(\.after), to: after.compactMap(\.after)).lines
    }
}

extension PendingChange {
    init(
        id: Int, origin: ChangeOrigin, within limit: TimeAmount, from before: [ServiceConfiguration],
        to after: [ServiceConfiguration], at milliseconds: Int
    ) {
        self.init(
            id: id, milliseconds: milliseconds, limitMilliseconds: Int(limit.nanoseconds / 1_000_000),
            peer: origin.peer, request: origin.request, token: origin.caller?.name,
            before: HistoryEntry.Delta.between(after, before), after: HistoryEntry.Delta.between(before, after)
        )
    }
}
