// Owns how many sessions each client address has at a service: the table that all rings share, its bound, its memory.
// Leaves to others: what the address is (the ring), when sessions begin and end (Worker).

import Synchronization

/// A client's address without its port: IPv6, or IPv4 in its mapped form, so that both ways to reach a service are one.
struct ClientAddress: Equatable {
    var high: UInt64
    var low: UInt64

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    init(_ address: SocketAddress) {
        (high, low) = address.hostWords
    }
}

/// Exact counts by address, in shards with a lock each, held for a few instructions; used only where the limit is set.
///
/// At most `addressesMax` addresses have sessions at a time; while so many have, a further one is refused: a limit that
/// is not kept would be none. A shard's memory grows with its addresses and is given back as they leave.
struct ClientCounts: ~Copyable {
    /// Of a service; a process has fewer sessions than this on all but the largest machines.
    static let addressesMax = 1 << 20
    private static let shardCount = 16

    private let shards: UnsafeMutablePointer<Mutex<ClientShard>>
    /// Of each table another, since addresses are chosen by those whom the limit is for.
    private let seed: UInt64

    init(addressesMax: Int = ClientCounts.addressesMax, seed: UInt64 = .random(in: 0...UInt64.max)) {
        self.seed = seed
        shards = .allocate(capacity: ClientCounts.shardCount)
        for index in 0..<ClientCounts.shardCount {
            (shards + index).initialize(
                to: Mutex(ClientShard(addressesMax: addressesMax / ClientCounts.shardCount, seed: seed)))
        }
    }

    deinit {
        shards.deinitialize(count: ClientCounts.shardCount)
        shards.deallocate()
    }

    /// Counts a session of this address; `false` when it has `limit` already, or the table is full.
    func add(_ address: ClientAddress, limit: Int) -> Bool {
        let hash = ClientShard.hash(address, seed)
        return shards[ClientCounts.shard(hash)].withLock { $0.add(address, hash, limit: limit) }
    }

    /// A session that was counted has ended.
    func remove(_ address: ClientAddress) {
        let hash = ClientShard.hash(address, seed)
        shards[ClientCounts.shard(hash)].withLock { $0.remove(address, hash) }
    }

    private static func shard(_ hash: UInt64) -> Int { Int(hash >> 60) }

    /// Sessions of an address, addresses that have some, and places in memory: for tests.
    func count(of address: ClientAddress) -> Int {
        let hash = ClientShard.hash(address, seed)
        return shards[ClientCounts.shard(hash)].withLock { $0.count(of: address, hash) }
    }

    var addressCount: Int { sum { $0.addressCount } }
    var capacity: Int { sum { $0.capacity } }

    private func sum(_ value: (borrowing ClientShard) -> Int) -> Int {
        (0..<ClientCounts.shardCount).reduce(0) { sum, index in sum + shards[index].withLock { value($0) } }
    }
}

/// A hash table with linear probing and without marks of what was removed.
struct ClientShard: ~Copyable {
    private struct Entry {
        var address: ClientAddress
        /// 0 for an empty place.
        var count: Int
    }

    /// Kept when the last address leaves, so that a lone client that comes and goes costs no allocation.
    static let capacityMin = 64

    private let addressesMax: Int
    private let seed: UInt64
    private var entries: UnsafeMutablePointer<Entry>?
    private(set) var capacity = 0
    private(set) var addressCount = 0

    init(addressesMax: Int, seed: UInt64) {
        self.addressesMax = addressesMax
        self.seed = seed
    }

    deinit {
        entries?.deallocate()
    }

    static func hash(_ address: ClientAddress, _ seed: UInt64) -> UInt64 {
        var hash = (address.high ^ seed) &* 0x9e37_79b9_7f4a_7c15
        hash ^= hash >> 32
        hash = (hash ^ address.low) &* 0xbf58_476d_1ce4_e5b9
        hash ^= hash >> 29
        hash = hash &* 0x94d0_49bb_1331_11eb
        return hash ^ hash >> 32
    }

    /// The place of the address, or the empty one where it would be; there is always one.
    private func find(_ address: ClientAddress, _ hash: UInt64) -> UnsafeMutablePointer<Entry> {
        var index = Int(truncatingIfNeeded: hash) & (capacity - 1)
        while entries![index].count != 0, entries![index].address != address { index = (index + 1) & (capacity - 1) }
        return entries! + index
    }

    func count(of address: ClientAddress, _ hash: UInt64) -> Int {
        capacity == 0 ? 0 : find(address, hash).pointee.count
    }

    mutating func add(_ address: ClientAddress, _ hash: UInt64, limit: Int) -> Bool {
        if capacity == 0 { resize(ClientShard.capacityMin) }
        var entry = find(address, hash)
        guard entry.pointee.count < limit else { return false }
        if entry.pointee.count == 0 {
            guard addressCount < addressesMax else { return false }
            if (addressCount + 1) * 4 > capacity * 3 {
                resize(capacity * 2)
                entry = find(address, hash)
            }
            addressCount += 1
            entry.pointee.address = address
        }
        entry.pointee.count += 1
        return true
    }

    mutating func remove(_ address: ClientAddress, _ hash: UInt64) {
        precondition(capacity > 0)
        let entry = find(address, hash)
        precondition(entry.pointee.count > 0, "a session was not counted")
        entry.pointee.count -= 1
        guard entry.pointee.count == 0 else { return }
        addressCount -= 1
        closeGap(at: entry - entries!)
        if capacity > ClientShard.capacityMin, addressCount * 8 < capacity { resize(capacity / 2) }
    }

    /// Moves what comes after an emptied place up, as far as it may stand there.
    private mutating func closeGap(at start: Int) {
        let mask = capacity - 1
        var gap = start
        var index = (gap + 1) & mask
        while entries![index].count != 0 {
            let home = Int(truncatingIfNeeded: ClientShard.hash(entries![index].address, seed)) & mask
            if (index - home) & mask >= (index - gap) & mask {
                entries![gap] = entries![index]
                entries![index].count = 0
                gap = index
            }
            index = (index + 1) & mask
        }
    }

    private mutating func resize(_ newCapacity: Int) {
        let (old, oldCapacity) = (entries, capacity)
        entries = .allocate(capacity: newCapacity)
        entries!.initialize(repeating: Entry(address: ClientAddress(high: 0, low: 0), count: 0), count: newCapacity)
        capacity = newCapacity
        for index in 0..<oldCapacity where old![index].count != 0 {
            find(old![index].address, ClientShard.hash(old![index].address, seed)).pointee = old![index]
        }
        old?.deallocate()
    }
}
