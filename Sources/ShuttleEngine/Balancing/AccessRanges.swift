// Owns which client addresses a service's lists let in, in the form that rings ask. Plain memory, as all that a service
// is compiled to. Leaves to others: what entries may be (Configuration/AccessEntries), turning clients away (Worker).
//
// What `deny` names stays out, whatever `allow` says; with `allow` only what it names comes in. Neither the order of
// the entries nor the lengths of their prefixes mean anything, so both lists come down to one set of addresses, kept as
// the places where it begins and ends: an address is in it when an odd number of them is at or below it.

/// The addresses that may come in. IPv4 clients of IPv6 listeners are IPv4 clients: entries of IPv6 are not about them.
struct AccessRanges {
    private let ipv4: UnsafeBufferPointer<UInt32>
    private let ipv6: UnsafeBufferPointer<UInt128>
    /// Whether clients on unix sockets may come in, which have no address.
    let admitsUnix: Bool

    /// Nil where the lists are empty and everybody comes in. To be given back by `deallocate`.
    init?(allow: [String], deny: [String]) {
        if allow.isEmpty && deny.isEmpty { return nil }
        admitsUnix = (allow.isEmpty || allow.contains(AccessEntries.unix)) && !deny.contains(AccessEntries.unix)
        let allowed = allow.isEmpty ? nil : AccessRanges.networks(allow)
        let denied = AccessRanges.networks(deny)
        ipv4 = AccessRanges.copy(AccessRanges.bounds(allowed, denied, of: .ipv4))
        ipv6 = AccessRanges.copy(AccessRanges.bounds(allowed, denied, of: .ipv6))
    }

    func deallocate() {
        ipv4.deallocate()
        ipv6.deallocate()
    }

    /// Whether a client from this address may come in: a search in what 10,000 entries are takes some ten steps.
    func admits(_ client: ClientAddress) -> Bool {
        if client.high == 0, client.low >> 32 == 0xffff {
            return AccessRanges.isIn(UInt32(truncatingIfNeeded: client.low), ipv4)
        }
        return AccessRanges.isIn(UInt128(client.high) << 64 | UInt128(client.low), ipv6)
    }

    /// For tests: how many bounds there are.
    var boundCount: Int { ipv4.count + ipv6.count }

    @inline(__always)
    private static func isIn<Address: UnsignedInteger & FixedWidthInteger>(
        _ address: Address,
        _ bounds: UnsafeBufferPointer<Address>
    ) -> Bool {
        // The first `below` are at or below the address; of the `count` after them that is not known.
        var below = 0
        var count = bounds.count
        while count > 0 {
            let half = count >> 1
            if bounds[below &+ half] <= address {
                below &+= half &+ 1
                count &-= half &+ 1
            } else {
                count = half
            }
        }
        return below & 1 == 1
    }

    // MARK: Compiling

    private static func networks(_ texts: [String]) -> [NetworkPrefix] {
        // Each was validated; what is left out stands for unix sockets.
        texts.compactMap { try? NetworkPrefix(parsing: $0) }
    }

    private static func bounds<Address: UnsignedInteger & FixedWidthInteger>(
        _ allowed: [NetworkPrefix]?,
        _ denied: [NetworkPrefix],
        of family: NetworkPrefix.Family
    ) -> [Address] {
        func union(_ networks: [NetworkPrefix]) -> [ClosedRange<Address>] {
            merged(networks.filter { $0.family == family }.map { Address($0.first)...Address($0.last) })
        }
        let ranges = subtract(union(denied), from: allowed.map(union) ?? [0...Address.max])
        return ranges.flatMap { $0.upperBound == .max ? [$0.lowerBound] : [$0.lowerBound, $0.upperBound + 1] }
    }

    /// In order, apart, and with a gap between any two.
    private static func merged<Address: UnsignedInteger & FixedWidthInteger>(
        _ ranges: [ClosedRange<Address>]
    ) -> [ClosedRange<Address>] {
        var result: [ClosedRange<Address>] = []
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            guard let last = result.last, last.upperBound == .max || range.lowerBound <= last.upperBound + 1 else {
                result.append(range)
                continue
            }
            result[result.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
        }
        return result
    }

    /// Both are merged, and so is the result.
    private static func subtract<Address: UnsignedInteger & FixedWidthInteger>(
        _ removed: [ClosedRange<Address>],
        from ranges: [ClosedRange<Address>]
    ) -> [ClosedRange<Address>] {
        var result: [ClosedRange<Address>] = []
        var next = 0
        for range in ranges {
            while next < removed.count, removed[next].upperBound < range.lowerBound { next += 1 }
            var start: Address? = range.lowerBound
            var index = next
            while let from = start, index < removed.count, removed[index].lowerBound <= range.upperBound {
                if removed[index].lowerBound > from { result.append(from...(removed[index].lowerBound - 1)) }
                start = removed[index].upperBound >= range.upperBound ? nil : removed[index].upperBound + 1
                index += 1
            }
            if let start { result.append(start...range.upperBound) }
        }
        return result
    }

    private static func copy<Address>(_ bounds: [Address]) -> UnsafeBufferPointer<Address> {
        let memory = UnsafeMutableBufferPointer<Address>.allocate(capacity: bounds.count)
        _ = memory.initialize(from: bounds)
        return UnsafeBufferPointer(memory)
    }
}
