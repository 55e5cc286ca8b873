// Reading DNS messages: good ones, and whatever else may come.

import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct DNSMessageTests {
    /// Writes messages.
    private struct Builder {
        var bytes: [UInt8] = []

        init(question: String, type: Int, answers: Int) {
            bytes = [0x12, 0x34, 0x81, 0x80, 0, 1, UInt8(answers >> 8), UInt8(answers & 0xFF), 0, 0, 0, 0]
            name(question)
            number(type)
            number(1)
        }

        mutating func number(_ value: Int) { bytes += [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }

        mutating func name(_ name: String) {
            bytes += DNSMessageTests.encoded(name)
        }

        /// The question's name, compressed.
        mutating func pointer(to position: Int = 12) { number(0xC000 | position) }

        mutating func record(type: Int, timeToLive: Int, class recordClass: Int = 1, _ data: [UInt8]) {
            number(type)
            number(recordClass)
            number(timeToLive >> 16)
            number(timeToLive)
            number(data.count)
            bytes += data
        }
    }

    private static func encoded(_ name: String) -> [UInt8] {
        name.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    private func answer() -> Builder {
        var builder = Builder(question: "Web.Test", type: 1, answers: 3)
        builder.pointer()
        let alias = Self.encoded("host").dropLast() + [0xC0, 12 + 4]
        builder.record(type: 5, timeToLive: 30, Array(alias))
        builder.name("HOST.test")
        builder.record(type: 1, timeToLive: 60, [10, 0, 0, 1])
        builder.name("other.test")
        builder.record(type: 1, timeToLive: 1, [10, 0, 0, 9])
        return builder
    }

    @Test func aliasesAreFollowedAndStrangersAreNot() throws {
        let message = try #require(DNSMessage(parsing: answer().bytes))
        #expect(message.question == "web.test")
        #expect(message.answers.map(\.owner) == ["web.test", "host.test", "other.test"])
        let (records, timeToLive) = message.relevant
        #expect(records.map(\.content) == [.address(.ipv4(0x0A00_0001, port: 0))])
        #expect(timeToLive == 30)
    }

    @Test func addressesOfBothFamilies() throws {
        var builder = Builder(question: "web.test", type: 28, answers: 3)
        for data: [UInt8] in [
            [0x20, 0x01, 0x0D, 0xB8] + Array(repeating: 0, count: 11) + [1],
            Array(repeating: 0, count: 10) + [0xFF, 0xFF, 10, 0, 0, 2],
        ] {
            builder.pointer()
            builder.record(type: 28, timeToLive: 1 << 31, data)
        }
        builder.pointer()
        builder.record(type: 99, timeToLive: 5, [1, 2, 3])
        let message = try #require(DNSMessage(parsing: builder.bytes))
        let addresses = message.answers.map { record in
            if case .address(let address) = record.content { address.host } else { "none" }
        }
        #expect(addresses == ["2001:db8::1", "10.0.0.2", "none"])
        #expect(message.relevant.timeToLiveSeconds == 0, "the highest bit means 0")
    }

    @Test func servers() throws {
        var builder = Builder(question: "_db._tcp.test", type: 33, answers: 2)
        builder.pointer()
        builder.record(type: 33, timeToLive: 9, [0, 1, 0, 20, 0x15, 0x38] + Self.encoded("a.test"))
        builder.pointer()
        builder.record(type: 33, timeToLive: 9, [0, 0, 0, 0, 0, 0] + [0])
        let message = try #require(DNSMessage(parsing: builder.bytes))
        #expect(
            message.answers.map(\.content) == [
                .server(priority: 1, weight: 20, port: 5432, target: "a.test"),
                .server(priority: 0, weight: 0, port: 0, target: ""),
            ]
        )
    }

    @Test func anotherClassIsNothing() throws {
        var builder = Builder(question: "web.test", type: 1, answers: 1)
        builder.pointer()
        builder.record(type: 1, timeToLive: 1, class: 3, [10, 0, 0, 1])
        #expect(try #require(DNSMessage(parsing: builder.bytes)).answers[0].content == .other)
    }

    @Test func pointersThatGoNowhereEnd() {
        for target in [12, 13, 40, 0x3FFF] {
            // A name at 12 that points at itself, forwards, or past the end.
            let bytes: [UInt8] = [
                0, 0, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0, UInt8(0xC0 | target >> 8), UInt8(target & 0xFF),
            ]
            #expect(DNSMessage(parsing: bytes + [0, 1, 0, 1]) == nil)
        }
    }

    @Test func aNameMustNotBeTooLong() {
        // 4 labels of 63 are 256 characters.
        let label = String(repeating: "a", count: 63)
        let name = Array(repeating: label, count: 4).joined(separator: ".")
        #expect(DNSMessage(parsing: Builder(question: name, type: 1, answers: 0).bytes) == nil)
    }

    @Test func everyTruncationIsRefusedOrShorter() throws {
        let whole = answer().bytes
        for length in 0..<whole.count {
            #expect(DNSMessage(parsing: whole[..<length]) == nil)
        }
    }

    /// Bytes from anywhere must not bring the process down.
    @Test func anyBytesAreRead() {
        var generator = SystemRandomNumberGenerator()
        let seed = answer().bytes
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = DNSMessage(parsing: bytes)?.relevant
        }
    }
}
