// Owns the benchmark of access lists: ten thousand entries in each of both lists, and clients from anywhere in and around
// them. Says what a look takes; the bound that must hold is in AccessRangesTests.

import Glibc

enum AccessBenchmark {
    private static let entries = 10_000
    private static let looks = 10_000_000

    static func run() {
        let four = (0..<entries).map { "10.\($0 / 256).\($0 % 256)" }
        report("IPv4", allow: four.map { "\($0).0/24" }, deny: four.map { "\($0).7" }) { random in
            ClientAddress(high: 0, low: 0xffff_0a00_0000 | random.next(through: 0x3f_ffff))
        }
        let six = (0..<entries).map { "2001:db8:0:\(String($0, radix: 16))" }
        report("IPv6", allow: six.map { "\($0)::/64" }, deny: six.map { "\($0)::7" }) { random in
            ClientAddress(high: 0x2001_0db8_0000_0000 | random.next(through: 0x3fff), low: random.next(through: 15))
        }
    }

    private static func report(
        _ name: String,
        allow: [String],
        deny: [String],
        client: (inout SplitMix) -> ClientAddress
    ) {
        let began = nanoseconds()
        guard let ranges = AccessRanges(allow: allow, deny: deny) else { return }
        let compiled = (nanoseconds() - began) / 1_000_000
        var random = SplitMix(seed: 1)
        // Drawn before, and more of them than a cache knows: a client that comes is not the one before.
        let clients = (0..<65_536).map { _ in client(&random) }
        let start = nanoseconds()
        let admitted = clients.withUnsafeBufferPointer { count($0, ranges) }
        let perLook = Double(nanoseconds() - start) / Double(looks)
        let tenths = Int((perLook * 10).rounded())
        let share = admitted * 100 / looks
        print(
            "\(name), \(entries) entries in each list: \(tenths / 10).\(tenths % 10) ns a look, \(share) % come in; "
                + "compiled in \(compiled) ms")
        ranges.deallocate()
    }

    @inline(never)
    private static func count(_ clients: UnsafeBufferPointer<ClientAddress>, _ ranges: AccessRanges) -> Int {
        var admitted = 0
        for look in 0..<looks where ranges.admits(clients[look & 0xffff]) { admitted &+= 1 }
        return admitted
    }

    private static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
