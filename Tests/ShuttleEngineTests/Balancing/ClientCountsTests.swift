// Owns the counts by client address: exact, bounded, and gone with their clients.

import Glibc
import Synchronization
import Testing

@testable import ShuttleEngine

/// The macros of tests take no borrowed values.
private final class Counts: @unchecked Sendable {
    private let counts: ClientCounts

    init(addressesMax: Int = ClientCounts.addressesMax, seed: UInt64 = 1) {
        counts = ClientCounts(addressesMax: addressesMax, seed: seed)
    }

    func add(_ address: ClientAddress, limit: Int) -> Bool { counts.add(address, limit: limit) }
    func remove(_ address: ClientAddress) { counts.remove(address) }
    func count(of address: ClientAddress) -> Int { counts.count(of: address) }
    var addressCount: Int { counts.addressCount }
    var capacity: Int { counts.capacity }
}

@Suite struct ClientCountsTests {
    private static func address(_ number: Int) -> ClientAddress { ClientAddress(.ipv4(UInt32(number), port: 0)) }

    @Test func countsUpToTheLimitAndNoFurther() {
        let counts = Counts()
        let one = ClientCountsTests.address(1)
        for _ in 0..<3 { #expect(counts.add(one, limit: 3)) }
        #expect(!counts.add(one, limit: 3) && counts.count(of: one) == 3)
        #expect(counts.add(ClientCountsTests.address(2), limit: 3), "another address has a count of its own")
        counts.remove(one)
        #expect(counts.add(one, limit: 3) && !counts.add(one, limit: 3))
    }

    @Test func aLimitThatChangesCountsThoseThatAreThere() {
        let counts = Counts()
        let one = ClientCountsTests.address(1)
        for _ in 0..<5 { #expect(counts.add(one, limit: 5)) }
        #expect(!counts.add(one, limit: 2) && counts.add(one, limit: 6))
    }

    private static func socketAddress(_ text: String, port: UInt16) -> SocketAddress {
        var inet = sockaddr_in6()
        inet.sin6_family = sa_family_t(AF_INET6)
        inet.sin6_port = port.bigEndian
        precondition(inet_pton(AF_INET6, text, &inet.sin6_addr) == 1)
        return withUnsafeBytes(of: inet) { SocketAddress(copying: $0.baseAddress!, length: $0.count)! }
    }

    @Test func anAddressIsTheSameByBothFamiliesAndAnyPort() {
        let plain = ClientAddress(.ipv4(0x7f00_0001, port: 80))
        #expect(plain == ClientAddress(.ipv4(0x7f00_0001, port: 81)))
        #expect(plain == ClientAddress(ClientCountsTests.socketAddress("::ffff:127.0.0.1", port: 9)))
        #expect(plain != ClientAddress(.ipv4(0x7f00_0002, port: 80)))
        let six = ClientAddress(ClientCountsTests.socketAddress("2001:db8::1", port: 1))
        #expect(six == ClientAddress(ClientCountsTests.socketAddress("2001:db8::1", port: 2)))
        #expect(six == ClientAddress(high: 0x2001_0db8_0000_0000, low: 1))
        #expect(six != ClientAddress(ClientCountsTests.socketAddress("2001:db8::2", port: 1)))
    }

    @Test func memoryGrowsWithAddressesAndGoesWithThem() {
        let counts = Counts()
        #expect(counts.capacity == 0, "nothing for a service without the limit")
        for number in 0..<100_000 { #expect(counts.add(ClientCountsTests.address(number), limit: 1)) }
        #expect(counts.addressCount == 100_000 && counts.capacity >= 100_000)
        for number in 0..<100_000 { counts.remove(ClientCountsTests.address(number)) }
        #expect(counts.addressCount == 0 && counts.capacity <= 16 * ClientShard.capacityMin)
    }

    /// While the table is full a further address is refused; those in it are served, and one that leaves makes room.
    @Test func aFullTableRefusesNewAddresses() {
        let counts = Counts(addressesMax: 160)
        var taken: [ClientAddress] = []
        for number in 0..<2000 where counts.add(ClientCountsTests.address(number), limit: 2) {
            taken.append(ClientCountsTests.address(number))
        }
        #expect(taken.count == 160)
        #expect(taken.allSatisfy { counts.add($0, limit: 2) })
        let stranger = (0..<2000).map(ClientCountsTests.address).first { counts.count(of: $0) == 0 }!
        #expect(!counts.add(stranger, limit: 2))
        for address in taken {
            counts.remove(address)
            counts.remove(address)
        }
        #expect(counts.addressCount == 0 && counts.add(stranger, limit: 2))
    }

    /// Random steps beside a dictionary, with addresses few enough to meet in the table again and again.
    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func doesWhatADictionaryWould(seed: UInt64) {
        var random = SeededGenerator(seed)
        let counts = Counts(seed: seed)
        var expected: [Int: Int] = [:]
        let addresses = Int.random(in: 10...3000, using: &random)
        for step in 0..<20_000 {
            let number = Int.random(in: 0..<addresses, using: &random)
            if Bool.random(using: &random) == (step % 4000 < 3000) {
                let isCounted = counts.add(ClientCountsTests.address(number), limit: 3)
                #expect(isCounted == (expected[number, default: 0] < 3))
                if isCounted { expected[number, default: 0] += 1 }
            } else if let count = expected[number] {
                counts.remove(ClientCountsTests.address(number))
                expected[number] = count == 1 ? nil : count - 1
            }
        }
        #expect(counts.addressCount == expected.count)
        for number in 0..<addresses {
            #expect(counts.count(of: ClientCountsTests.address(number)) == expected[number, default: 0])
        }
    }

    /// Eight threads with the same few addresses: never more than the limit of any, and nothing is left.
    @Test func isExactOverThreads() {
        let counts = Counts()
        let inside = (0..<4).map { _ in Gauge() }
        let refusals = Atomic<Int>(0)
        let seeds = Atomic<UInt64>(1)
        inThreads(8) {
            var random = SeededGenerator(seeds.wrappingAdd(1, ordering: .relaxed).oldValue)
            var held: [Int] = []
            for _ in 0..<15_000 {
                let number = Int.random(in: 0..<4, using: &random)
                if held.count < 4, Bool.random(using: &random) {
                    if counts.add(ClientCountsTests.address(number), limit: 3) {
                        inside[number].rise()
                        held.append(number)
                    } else {
                        refusals.wrappingAdd(1, ordering: .relaxed)
                    }
                } else if let last = held.popLast() {
                    inside[last].fall()
                    counts.remove(ClientCountsTests.address(last))
                }
            }
            for number in held {
                inside[number].fall()
                counts.remove(ClientCountsTests.address(number))
            }
        }
        let refused = refusals.load(ordering: .relaxed)
        #expect(inside.allSatisfy { $0.highest == 3 } && refused > 0)
        #expect(counts.addressCount == 0)
    }

    private final class Gauge: Sendable {
        let now = Atomic<Int>(0)
        let most = Atomic<Int>(0)
        var highest: Int { most.load(ordering: .relaxed) }

        func rise() { most.max(now.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue, ordering: .relaxed) }
        func fall() { now.wrappingSubtract(1, ordering: .sequentiallyConsistent) }
    }
}
