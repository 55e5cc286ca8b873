// Owns the behaviour of the table of datagram sessions: against a model that is too simple to be wrong, and in the cases
// that a client or a flood would look for.

import Testing

@testable import ShuttleEngine

@Suite struct DatagramTableTests {
    private static func table(_ capacity: Int) -> DatagramTable {
        guard let table = DatagramTable(capacity: capacity, seed: 7) else { preconditionFailure("no address space") }
        return table
    }

    private static func path(_ client: Int, local: UInt64 = 0) -> DatagramPath {
        DatagramPath(
            clientHigh: 0, clientLow: 0xffff_0a00_0000 | UInt64(client / 7), clientPort: UInt16(1024 + client % 7),
            clientScope: 0, localHigh: 0, localLow: local)
    }

    private static let here = DatagramListenerKey(place: 0, generation: 1)

    /// What the table promises, kept in a list in order of activity.
    private struct Model {
        struct Session {
            var slot: UInt32
            var path: DatagramPath
            var listener: DatagramListenerKey
            var isFound: Bool
            var lastActivity: UInt64
        }

        var sessions: [Session] = []
        var ending: [UInt32] = []

        func find(_ path: DatagramPath, _ listener: DatagramListenerKey) -> UInt32? {
            sessions.first { $0.isFound && $0.path == path && $0.listener == listener }?.slot
        }

        func oldest(_ place: UInt32) -> UInt32? { sessions.first { $0.listener.place == place }?.slot }

        mutating func touch(_ slot: UInt32, _ now: UInt64) {
            let index = sessions.firstIndex { $0.slot == slot }!
            guard sessions[index].lastActivity != now else { return }
            var session = sessions.remove(at: index)
            session.lastActivity = now
            sessions.append(session)
        }

        mutating func end(_ slot: UInt32) {
            sessions.removeAll { $0.slot == slot }
            ending.append(slot)
        }
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func agreesWithTheModel(seed: UInt64) {
        var random = SeededGenerator(seed)
        let capacity = 24
        var table = DatagramTableTests.table(capacity)
        var model = Model()
        var generations: [UInt32: UInt32] = [:]
        var now: UInt64 = 1
        for _ in 0..<4000 {
            now += UInt64.random(in: 0...1, using: &random)
            let listener = DatagramListenerKey(
                place: UInt32.random(in: 0...2, using: &random), generation: UInt32.random(in: 1...2, using: &random))
            let path = DatagramTableTests.path(
                Int.random(in: 0..<20, using: &random), local: UInt64.random(in: 0...1, using: &random))
            #expect(table.find(path, at: listener) == model.find(path, listener))
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                if let slot = table.find(path, at: listener) {
                    table.touch(slot, now: now)
                    model.touch(slot, now)
                } else if let slot = table.begin(path, at: listener, now: now) {
                    #expect(!model.sessions.contains { $0.slot == slot } && !model.ending.contains(slot))
                    model.sessions.append(
                        .init(slot: slot, path: path, listener: listener, isFound: true, lastActivity: now))
                    #expect(table.generation(of: slot) == generations[slot, default: 0] + 1)
                    generations[slot] = table.generation(of: slot)
                } else {
                    #expect(model.sessions.count + model.ending.count == capacity)
                }
            case 5:
                guard let slot = table.find(path, at: listener) else { continue }
                table.forget(slot)
                model.sessions[model.sessions.firstIndex { $0.slot == slot }!].isFound = false
            case 6, 7:
                guard let slot = model.sessions.randomElement(using: &random)?.slot else { continue }
                table.end(slot)
                model.end(slot)
                let (isLive, isCurrent) = (table.isLive(slot), table.isCurrent(slot, generation: generations[slot]!))
                #expect(!isLive && isCurrent)
            default:
                guard let slot = model.ending.randomElement(using: &random) else { continue }
                table.free(slot)
                model.ending.removeAll { $0 == slot }
                let isCurrent = table.isCurrent(slot, generation: generations[slot]!)
                #expect(!isCurrent)
            }
            for place in UInt32(0)...2 { #expect(table.oldest(at: place) == model.oldest(place)) }
            #expect(table.liveCount == model.sessions.count)
            #expect(table.count == model.sessions.count + model.ending.count)
        }
        for session in model.sessions {
            let isLive = table.isLive(session.slot)
            #expect(isLive && table.path(of: session.slot) == session.path)
        }
    }

    @Test func everyPartOfThePathAndTheListenerCounts() {
        var table = DatagramTableTests.table(16)
        let path = DatagramTableTests.path(1)
        let slot = table.begin(path, at: DatagramTableTests.here, now: 1)
        #expect(table.find(path, at: DatagramTableTests.here) == slot)
        for change in [\DatagramPath.clientHigh, \.clientLow, \.localHigh, \.localLow] {
            var other = path
            other[keyPath: change] ^= 1
            #expect(table.find(other, at: DatagramTableTests.here) == nil)
        }
        var other = path
        other.clientPort += 1
        #expect(table.find(other, at: DatagramTableTests.here) == nil)
        other = path
        other.clientScope = 2
        #expect(table.find(other, at: DatagramTableTests.here) == nil)
        // Nor is it the same when its sender speaks for somebody else.
        for conveyed in [
            SocketAddress.ipv4(1, port: 1), .ipv4(1, port: 2), .ipv4(2, port: 1), .ipv6(high: 1, low: 0, port: 1),
        ] {
            other = path
            other.convey(conveyed)
            #expect(table.find(other, at: DatagramTableTests.here) == nil)
            let second = table.begin(other, at: DatagramTableTests.here, now: 1)
            #expect(second != nil && table.find(other, at: DatagramTableTests.here) == second)
        }
        #expect(table.liveCount == 5 && table.find(path, at: DatagramTableTests.here) == slot)
        #expect(table.find(path, at: DatagramListenerKey(place: 0, generation: 2)) == nil)
        #expect(table.find(path, at: DatagramListenerKey(place: 1, generation: 1)) == nil)
    }

    @Test func theLongestIdleIsTheOneWithoutDatagramsForLongest() {
        var table = DatagramTableTests.table(16)
        let slots = (0..<4).map { client in
            table.begin(DatagramTableTests.path(client), at: DatagramTableTests.here, now: UInt64(client))!
        }
        table.touch(slots[0], now: 10)
        #expect(table.oldest(at: 0) == slots[1])
        table.end(slots[1])
        #expect(table.oldest(at: 0) == slots[2])
        // One that is forgotten is idle like any other.
        table.forget(slots[2])
        #expect(table.oldest(at: 0) == slots[2])
        table.touch(slots[2], now: 11)
        #expect(table.oldest(at: 0) == slots[3])
    }

    /// A forgotten session's client begins another, and both end by themselves.
    @Test func aForgottenSessionLivesBesideItsSuccessor() {
        var table = DatagramTableTests.table(16)
        let path = DatagramTableTests.path(3)
        let first = table.begin(path, at: DatagramTableTests.here, now: 1)!
        table.forget(first)
        let isLive = table.isLive(first)
        #expect(table.find(path, at: DatagramTableTests.here) == nil && isLive)
        let second = table.begin(path, at: DatagramTableTests.here, now: 2)!
        #expect(second != first && table.find(path, at: DatagramTableTests.here) == second)
        table.end(first)
        #expect(table.find(path, at: DatagramTableTests.here) == second)
        table.free(first)
        table.end(second)
        #expect(table.find(path, at: DatagramTableTests.here) == nil && table.liveCount == 0 && table.count == 1)
    }

    @Test func aFullTableBeginsNothing() {
        var table = DatagramTableTests.table(3)
        let slots = (0..<3).map { table.begin(DatagramTableTests.path($0), at: DatagramTableTests.here, now: 1)! }
        #expect(table.begin(DatagramTableTests.path(9), at: DatagramTableTests.here, now: 2) == nil)
        table.end(slots[1])
        // Not before its last completion.
        #expect(table.begin(DatagramTableTests.path(9), at: DatagramTableTests.here, now: 2) == nil)
        table.free(slots[1])
        #expect(table.begin(DatagramTableTests.path(9), at: DatagramTableTests.here, now: 2) == slots[1])
    }

    /// Ports and hosts in a row, as clients behind one address have them, spread over the buckets.
    @Test func neighboursAreSpread() {
        var buckets = [Int](repeating: 0, count: 1024)
        for client in 0..<8192 {
            let path = DatagramPath(
                clientHigh: 0, clientLow: 0xffff_0a00_0001, clientPort: UInt16(1024 + client), clientScope: 0)
            buckets[Int(path.hash(seed: 1) & 1023)] += 1
        }
        #expect(buckets.max()! < 32)
    }

    /// IPv4 is the same client by whichever kind of socket it comes.
    @Test func mappedAddressesAreIPv4() {
        let path = DatagramPath(client: .ipv4(0x0a00_0001, port: 53))
        #expect(path.clientHigh == 0 && path.clientLow == 0xffff_0a00_0001 && path.clientPort == 53)
        #expect(!path.hasLocalAddress)
    }

    /// Whoever is told apart by its address is the one that was conveyed, whoever gets the answers.
    @Test func theClientIsWhomTheHeaderTellsOf() {
        var path = DatagramPath(client: .ipv4(0x0a00_0001, port: 53))
        #expect(!path.hasConveyed && path.client == (0, 0xffff_0a00_0001))
        path.convey(.ipv4(0xc000_0201, port: 9))
        #expect(path.hasConveyed && path.client == (0, 0xffff_c000_0201) && path.conveyedPort == 9)
        #expect(path.clientLow == 0xffff_0a00_0001 && path.clientPort == 53)
        path.convey(.ipv6(high: 0x2001_0db8_0000_0000, low: 0, port: 0))
        #expect(path.hasConveyed && path.client == (0x2001_0db8_0000_0000, 0))
    }

    /// Clients behind one sender spread as clients of their own.
    @Test func conveyedNeighboursAreSpread() {
        for local in [UInt64(0), 0xffff_7f00_0001] {
            var buckets = [Int](repeating: 0, count: 1024)
            for client in 0..<8192 {
                var path = DatagramTableTests.path(0, local: local)
                path.convey(.ipv4(0x0a00_0000 + UInt32(client % 128), port: UInt16(1024 + client / 128)))
                buckets[Int(path.hash(seed: 1) & 1023)] += 1
            }
            #expect(buckets.max()! < 32)
        }
    }
}
