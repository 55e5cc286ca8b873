// Owns what is read of a ClientHello, however it is cut into records and however much of it has come.

import Testing

@testable import ShuttleEngine

@Suite struct ClientHelloTests {
    /// What a test may ask of an outcome.
    private enum Found: Equatable {
        case incomplete, notTLS, malformed, tooLong
        case complete(name: String, offered: [String])
    }

    private static let candidates = ["h2", "http/1.1", "h", "imap", "http/1.1x"]

    private static func read(_ bytes: [UInt8], limit: Int = 16_384) -> Found {
        bytes.withUnsafeBytes { bytes in
            switch ClientHello.read(bytes, limit: limit) {
            case .incomplete: return .incomplete
            case .notTLS: return .notTLS
            case .malformed: return .malformed
            case .tooLong: return .tooLong
            case .complete(let hello):
                let name = hello.withName { String(decoding: $0, as: UTF8.self) }
                let offered = candidates.filter { Array($0.utf8).withUnsafeBytes { hello.offers($0) } }
                return .complete(name: name, offered: offered)
            }
        }
    }

    // MARK: Real ones

    @Test(arguments: ClientHelloSamples.all)
    func realOnes(sample: ClientHelloSamples.Sample) {
        let whole = Found.complete(name: sample.name, offered: sample.protocols)
        #expect(Self.read(sample.bytes) == whole)
        #expect(Self.read(sample.bytes + [0x14, 3, 3, 0, 1, 1]) == whole, "what follows is no part of it")
        for count in 0..<sample.bytes.count {
            #expect(Self.read(Array(sample.bytes[..<count])) == .incomplete, "\(count) bytes")
        }
    }

    /// As clients that avoid being read do: a record for each so many bytes, cut at every place as well.
    @Test(arguments: ClientHelloSamples.all)
    func inManyRecords(sample: ClientHelloSamples.Sample) {
        let whole = Found.complete(name: sample.name, offered: sample.protocols)
        let message = Array(sample.bytes[5...])
        for length in [1, 2, 3, 5, 64, 511, 1000] {
            let bytes = ClientHelloBuilder.records(of: message, lengths: [length])
            #expect(Self.read(bytes) == whole, "records of \(length)")
            for count in 0..<bytes.count {
                #expect(Self.read(Array(bytes[..<count])) == .incomplete, "\(count) bytes of records of \(length)")
            }
        }
        for first in 1..<message.count {
            #expect(Self.read(ClientHelloBuilder.records(of: message, lengths: [first, message.count])) == whole)
        }
    }

    /// A key share of X25519MLKEM768 is more than a segment holds.
    @Test func aPostQuantumOneFitsIntoNoSegment() {
        var hello = ClientHelloBuilder(name: "pq.example", protocols: ["h2"])
        hello.keyShare = 1216 + 32
        // What stands for Encrypted Client Hello where there is none.
        hello.extraExtension = (0xFE0D, Array(repeating: 1, count: 186))
        let bytes = hello.bytes
        #expect(bytes.count > 1460)
        #expect(Self.read(bytes) == .complete(name: "pq.example", offered: ["h2"]))
        for count in 0..<bytes.count { #expect(Self.read(Array(bytes[..<count])) == .incomplete) }
    }

    // MARK: Names and protocols

    @Test func namesAreMadeComparable() {
        let names = [
            "WWW.Example": "www.example", "www.example.": "www.example", ".": ".", "a": "a",
            "a_b.example": "a_b.example",
        ]
        for (sent, read) in names {
            #expect(Self.read(ClientHelloBuilder(name: sent).bytes) == .complete(name: read, offered: []))
        }
        let longest = String(repeating: "a", count: 253)
        #expect(Self.read(ClientHelloBuilder(name: longest).bytes) == .complete(name: longest, offered: []))
        for name in [longest + "a", "", "a b", "a\0b", "bücher.example", "a\u{7f}"] {
            #expect(Self.read(ClientHelloBuilder(name: name).bytes) == .malformed, "\(name)")
        }
        #expect(Self.read(ClientHelloBuilder().bytes) == .complete(name: "", offered: []))
    }

    @Test func everyProtocolIsFound() {
        let hello = ClientHelloBuilder(name: "a", protocols: ["spdy/1", "http/1.1", "h2"])
        #expect(Self.read(hello.bytes) == .complete(name: "a", offered: ["h2", "http/1.1"]))
        #expect(Self.read(ClientHelloBuilder(protocols: ["h"]).bytes) == .complete(name: "", offered: ["h"]))
        #expect(Self.read(ClientHelloBuilder(protocols: [""]).bytes) == .malformed)
        #expect(Self.read(ClientHelloBuilder(protocols: []).bytes) == .malformed)
    }

    @Test func withoutExtensions() {
        var hello = ClientHelloBuilder()
        hello.hasExtensions = false
        #expect(Self.read(hello.bytes) == .complete(name: "", offered: []))
    }

    // MARK: What is none

    @Test func whatIsNotTLSIsKnownAtOnce() {
        for text in ["GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n", "\0", "\u{15}\u{3}", "\u{16}\u{2}", "PROXY TCP4"] {
            #expect(Self.read(Array(text.utf8)) == .notTLS)
            #expect(Self.read(Array(text.utf8.prefix(1))) == (text.utf8.first == 0x16 ? .incomplete : .notTLS))
        }
        #expect(Self.read([0x16, 3, 1, 0, 0]) == .notTLS, "an empty record")
        #expect(Self.read([0x16, 3, 1, 0x40, 0x01]) == .notTLS, "a record that may not be so long")
        #expect(Self.read([0x16, 3, 1, 0x40]) == .incomplete)
        #expect(Self.read([0x16, 3, 1, 0x41]) == .notTLS)
        #expect(Self.read([0x16, 3, 3, 0, 4, 2]) == .notTLS, "another message of a handshake")
        #expect(Self.read([0x80, 0x2E, 1, 3, 1]) == .notTLS, "SSL 2")
        #expect(Self.read([]) == .incomplete)
    }

    @Test func lengthsThatDoNotFitAreMalformed() {
        let hello = ClientHelloBuilder(name: "a.example", protocols: ["h2"])
        let message = hello.message
        for change in [-1, 1, 2] {
            var other = hello
            other.extensionsLengthError = change
            #expect(Self.read(other.bytes) == .malformed)
            var bytes = ClientHelloBuilder.records(of: message, lengths: [message.count])
            // The message's own length, with as many bytes there as it says.
            bytes[8] = UInt8(Int(bytes[8]) + change)
            #expect(
                Self.read(bytes + (change > 0 ? [0x16, 3, 3, 0, 9] + Array(repeating: 0, count: 9) : [])) == .malformed)
        }
        for type in [0, 16] {
            var other = hello
            other.extraExtension = (type, [0, 2, 0, 0])
            #expect(Self.read(other.bytes) == .malformed, "extension \(type) twice")
        }
        var cut = ClientHelloBuilder.records(of: message, lengths: [10, message.count])
        cut[15] = 0x17
        #expect(Self.read(cut) == .malformed, "data between the records of a handshake")
    }

    @Test func whatIsTooLong() {
        let hello = ClientHelloBuilder(name: "a.example")
        let bytes = hello.bytes
        #expect(Self.read(bytes, limit: bytes.count) == .complete(name: "a.example", offered: []))
        #expect(Self.read(Array(bytes.prefix(9)), limit: bytes.count - 1) == .tooLong, "known from its length")
        let records = ClientHelloBuilder.records(of: hello.message, lengths: [1])
        #expect(Self.read(records, limit: records.count - 1) == .tooLong)
        #expect(Self.read(records.dropLast(), limit: records.count) == .incomplete)
    }

    // MARK: Whatever comes

    @Test func whateverComes() {
        var random = SeededGenerator(0x7150)
        var counts: [String: Int] = [:]
        for round in 0..<20_000 {
            var hello = ClientHelloBuilder(
                name: ["a.example", "", "x", nil].randomElement(using: &random)!,
                protocols: [["h2"], nil, ["http/1.1", "h2"]].randomElement(using: &random)!
            )
            hello.keyShare = Int.random(in: 0...200, using: &random)
            var bytes = ClientHelloBuilder.records(
                of: hello.message,
                lengths: (0..<3).map { _ in Int.random(in: 1...300, using: &random) }
            )
            if round % 5 == 0 { bytes = (0..<100).map { _ in UInt8.random(in: 0...255, using: &random) } }
            if round % 10 == 0 { bytes.replaceSubrange(0..<6, with: [0x16, 3, 1, 0, 90, 1]) }
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
                }
            }
            let limit = Int.random(in: 300...1000, using: &random)
            let whole = Self.read(bytes, limit: limit)
            counts["\(whole)".prefix { $0 != "(" }.description, default: 0] += 1
            let part = Self.read(Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random))), limit: limit)
            // What decides may lie behind what is malformed, in a part that has not come.
            #expect(part == whole || part == .incomplete, "\(part) before \(whole)")
        }
        #expect(counts.count == 5 && counts.values.allSatisfy { $0 > 50 }, "\(counts)")
    }
}
