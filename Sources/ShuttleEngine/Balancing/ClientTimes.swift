// Owns when the bucket of each client address is full again: the table that all rings share, its bound, its memory.
// Leaves to others: what the times mean (RateRule).

import Synchronization

/// Times by address, in shards with a lock each, held for a few instructions; used only where a rate per client is set.
///
/// An address whose time has passed is as good as one that never came: its place is taken again without loss. At most
/// `addressesMax` addresses have times that are still to come; while so many have, a further one is too early: a limit
/// that is not kept would be none.
struct ClientTimes: ~Copyable {
    /// Of a service, as of `ClientCounts`.
    static let addressesMax = 1 << 20
    private static let shardCount = 16

    private let shards: UnsafeMutablePointer<Mutex<ClientTimesShard>>
    /// Of each table another, since addresses are chosen by those whom the limit is for.
    private let seed: UInt64

    init(addressesMax: Int = ClientTimes.addressesMax, seed: UInt64 = .random(in: 0...UInt64.max)) {
        self.seed = seed
        shards = .allocate(capacity: ClientTimes.shardCount)
        for index in 0..<ClientTimes.shardCount {
            (shards + index).initialize(
                to: Mutex(ClientTimesShard(addressesMax: addressesMax / ClientTimes.shardCount, seed: seed)))
        }
    }

    deinit {
        shards.deinitialize(count: ClientTimes.shardCount)
        shards.deallocate()
    }

    /// Takes a token of this address.
    func take(_ address: ClientAddress, by rule: RateRule, at now: UInt64, mayWait: Bool) -> RateRule.Answer {
        let hash = ClientShard.hash(address, seed)
        return shards[Int(hash >> 60)].withLock { $0.take(address, hash, by: rule, at: now, mayWait: mayWait) }
    }

    /// When the bucket of an address is full again; 0 where nothing is known of it.
    func time(of address: ClientAddress) -> UInt64 {
        let hash = ClientShard.hash(address, seed)
        return shards[Int(hash >> 60)].withLock { $0.time(of: address, hash) }
    }

    /// Places in memory: for tests.
    var capacity: Int {
        (0..<ClientTimes.shardCount).reduce(0) { sum, index in sum + shards[index].withLock { $0.capacity } }
    }
}

/// A hash table with linear probing from which nothing is removed: places whose time has passed are taken again where an
/// address is put, and swept away when the table is made anew, as large as what is left needs.
struct ClientTimesShard: ~Copyable {
    private struct Entry {
        var address: ClientAddress
        /// 0 for a place that was never taken.
        var full: UInt64
    }

    static let capacityMin = 64

    private let addressesMax: Int
    private let seed: UInt64
    private var entries: UnsafeMutablePointer<Entry>?
    private(set) var capacity = 0
    /// Places taken, those whose time has passed included.
    private var taken = 0
    /// Asked since the table was made: after as many as it has places it is made anew, so that it shrinks again.
    private var asked = 0
    /// A table that cannot be made any better is not tried again before this.
    private var renewableAt: UInt64 = 0
    private static let nanosecondsBetweenTries: UInt64 = 100_000_000

    init(addressesMax: Int, seed: UInt64) {
        self.addressesMax = addressesMax
        self.seed = seed
    }

    deinit {
        entries?.deallocate()
    }

    mutating func take(
        _ address: ClientAddress,
        _ hash: UInt64,
        by rule: RateRule,
        at now: UInt64,
        mayWait: Bool
    ) -> RateRule.Answer {
        asked &+= 1
        if capacity == 0 || asked >= max(capacity, ClientTimesShard.capacityMin) || isFull, now >= renewableAt {
            renew(at: now)
        }
        guard let entry = place(for: address, hash, at: now) else { return .isTooEarly }
        return rule.take(from: &entry.pointee.full, at: now, mayWait: mayWait)
    }

    func time(of address: ClientAddress, _ hash: UInt64) -> UInt64 {
        guard capacity > 0 else { return 0 }
        let mask = capacity - 1
        var index = Int(truncatingIfNeeded: hash) & mask
        while entries![index].full != 0 {
            if entries![index].address == address { return entries![index].full }
            index = (index + 1) & mask
        }
        return 0
    }

    /// No further place is given: three quarters of them are taken, or as many as there may be.
    private var isFull: Bool { (taken + 1) * 4 > capacity * 3 || taken >= addressesMax }

    /// The place of the address: its own, one whose time has passed, or a new one; nil where the table is full.
    private mutating func place(for address: ClientAddress, _ hash: UInt64, at now: UInt64) -> UnsafeMutablePointer<
        Entry
    >? {
        let mask = capacity - 1
        var index = Int(truncatingIfNeeded: hash) & mask
        var passed: Int?
        // The address may stand behind places whose time has passed.
        while entries![index].full != 0 {
            if entries![index].address == address { return entries! + index }
            if passed == nil, entries![index].full <= now { passed = index }
            index = (index + 1) & mask
        }
        if passed == nil {
            // Of a table that could not be made larger.
            guard !isFull else { return nil }
            taken += 1
        }
        let place = entries! + (passed ?? index)
        // Any time that has passed says the same.
        place.pointee = Entry(address: address, full: max(1, min(now, place.pointee.full)))
        return place
    }

    /// Makes the table anew without those whose time has passed: at most three eighths full, unless it has as many
    /// addresses as it may have.
    private mutating func renew(at now: UInt64) {
        let (old, oldCapacity) = (entries, capacity)
        let kept = (0..<oldCapacity).count { old![$0].full > now }
        capacity = ClientTimesShard.capacityMin
        while kept * 8 > capacity * 3, capacity * 3 / 4 < addressesMax { capacity *= 2 }
        entries = .allocate(capacity: capacity)
        entries!.initialize(repeating: Entry(address: ClientAddress(high: 0, low: 0), full: 0), count: capacity)
        for index in 0..<oldCapacity where old![index].full > now {
            var place = Int(truncatingIfNeeded: ClientShard.hash(old![index].address, seed)) & (capacity - 1)
            while entries![place].full != 0 { place = (place + 1) & (capacity - 1) }
            entries![place] = old![index]
        }
        old?.deallocate()
        taken = kept
        asked = 0
        renewableAt = isFull ? now &+ ClientTimesShard.nanosecondsBetweenTries : 0
    }
}
