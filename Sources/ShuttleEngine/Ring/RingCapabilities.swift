// Owns what this kernel's io_uring can do beyond the minimum, and the choice made of it. Probed once, at start.

import Glibc

/// Features newer than the minimum kernel (6.1). Each has a fallback and can be switched off by itself, so that the
/// fallback can be tested where the feature exists.
public struct RingCapabilities: Equatable, Sendable {
    /// A receive that stays armed until a total number of bytes (Linux 6.17); else each receive is armed anew.
    public var hasReceiveLimit: Bool
    /// A wake-up message to a ring from a thread without one (Linux 6.13); else an eventfd.
    public var hasMessageWithoutRing: Bool
    /// A receive that fills several buffers (Linux 6.10), in the right order; else one buffer at a time.
    public var hasBundles: Bool
    /// A wait for several completions that contents itself with one after a while (Linux 6.12); else the first
    /// completion ends every wait.
    public var hasMinimumWait: Bool
    /// splice(2) between sockets and pipes; a feature so that it can be switched off.
    public var hasSplice: Bool

    public init(
        hasReceiveLimit: Bool,
        hasMessageWithoutRing: Bool,
        hasBundles: Bool,
        hasMinimumWait: Bool,
        hasSplice: Bool
    ) {
        self.hasReceiveLimit = hasReceiveLimit
        self.hasMessageWithoutRing = hasMessageWithoutRing
        self.hasBundles = hasBundles
        self.hasMinimumWait = hasMinimumWait
        self.hasSplice = hasSplice
    }

    /// Nothing beyond Linux 6.1.
    public static let minimum = RingCapabilities(
        hasReceiveLimit: false,
        hasMessageWithoutRing: false,
        hasBundles: false,
        hasMinimumWait: false,
        hasSplice: true
    )

    /// Names of features in the environment variable that switches them off, separated by commas.
    static let disablingVariable = "SHUTTLE_WITHOUT"

    /// Less what the environment switches off: for trying a fallback on a kernel that does not need it.
    func withoutDisabledFeatures() -> RingCapabilities {
        guard let value = getenv(RingCapabilities.disablingVariable) else { return self }
        let names = Set(String(cString: value).split(separator: ",").map(String.init))
        return RingCapabilities(
            hasReceiveLimit: hasReceiveLimit && !names.contains("receive-limit"),
            hasMessageWithoutRing: hasMessageWithoutRing && !names.contains("ring-message"),
            hasBundles: hasBundles && !names.contains("bundles"),
            hasMinimumWait: hasMinimumWait && !names.contains("minimum-wait"),
            hasSplice: hasSplice && !names.contains("splice")
        )
    }

    /// A line for each choice, for people.
    var lines: [String] {
        [
            hasReceiveLimit
                ? "receive: multishot with a byte limit (Linux 6.17)"
                : "receive: one at a time (multishot with a byte limit needs Linux 6.17)",
            hasMessageWithoutRing
                ? "wake-up: ring message from the control thread (Linux 6.13)"
                : "wake-up: eventfd (ring message from the control thread needs Linux 6.13)",
            hasBundles
                ? "buffers: a receive fills several (Linux 6.10)"
                : "buffers: a receive fills one (several need Linux 6.10)",
            hasMinimumWait
                ? "waiting: for several completions while they come fast (Linux 6.12)"
                : "waiting: for the first completion (for several needs Linux 6.12)",
            hasSplice ? "bulk: spliced" : "bulk: copied (splicing is switched off)",
        ]
    }
}
