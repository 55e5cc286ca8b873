// Owns the memory of a service's compiled lists, shared by all snapshots between two changes of them: health changes often,
// and compiling ten thousand entries takes some ten milliseconds. Leaves to others: what they say (AccessRanges).

final class CompiledAccess {
    let ranges: UnsafeMutablePointer<AccessRanges>

    /// Nil where everybody may come in. `former` is what `configuration` before was compiled to.
    static func of(
        _ configuration: ServiceConfiguration, reusing former: CompiledAccess?, of before: ServiceConfiguration?
    ) -> CompiledAccess? {
        if let before, before.allow == configuration.allow, before.deny == configuration.deny { return former }
        return AccessRanges(allow: configuration.allow, deny: configuration.deny).map(CompiledAccess.init)
    }

    private init(_ ranges: AccessRanges) {
        self.ranges = .allocate(capacity: 1)
        self.ranges.initialize(to: ranges)
    }

    deinit {
        ranges.pointee.deallocate()
        ranges.deallocate()
    }
}
