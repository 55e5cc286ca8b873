// The parser on input that nobody would write: no crash, honest errors, and what is accepted means what it says.

import Glibc
import ShuttleEngine
import Testing

@testable import shuttled

@Suite struct JSONFuzzTests {
    private static let seedTexts = [
        ConfigurationFixtures.everyField,
        "[\"\\u00e9\\ud83d\\ude00 é日😀\", -0.5e+10, {\"a\": {\"b\": [[], {}, null, true, false]}}]",
        "{\"services\": [{\"name\": \"a\", \"address\": \":1\", \"backends\": [{\"name\": \"b\", \"address\": \"c:1\"}]}]}",
    ]
    /// What mutations insert: the parts that a parser's branches hang on.
    private static let pieces: [[UInt8]] =
        [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud800", "\\udc00", "\\u0000", "0", "-", ".", "e", "E+",
            "1", "null", "true", "false", "\n", " ", "\"name\"", "\"a\":1,", "[[[[", "]]]]",
        ].map { Array($0.utf8) }
        + [[0x00], [0x80], [0xC3], [0xED, 0xA0, 0x80], [0xF4, 0x90], [0xFF], [0xEF, 0xBB, 0xBF]]

    private func mutated(using random: inout ConfigurationFixtures.Random) -> [UInt8] {
        var bytes = Array(Self.seedTexts[Int.random(in: 0..<Self.seedTexts.count, using: &random)].utf8)
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let position = Int.random(in: 0...bytes.count, using: &random)
            let end = min(bytes.count, position + Int.random(in: 0...8, using: &random))
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes.removeSubrange(position..<end)
            case 1: bytes.removeSubrange(position...)
            case 2: bytes.insert(contentsOf: Self.pieces.randomElement(using: &random) ?? [], at: position)
            case 3: bytes.insert(contentsOf: bytes[position..<end], at: 0)
            default:
                if position < bytes.count {
                    bytes[position] = UInt8.random(in: 0...255, using: &random)
                }
            }
        }
        return bytes
    }

    /// Prints a value as it was read, so that it can be read again.
    private func write(_ value: JSONValue, to writer: inout JSONWriter) {
        switch value.kind {
        case .null: writer.null()
        case .bool: writer.value(value.bool == true)
        case .number: writer.value(value.integer ?? 0)
        case .string: writer.value(value.string ?? "")
        case .list:
            writer.list { writer in
                for child in value.children {
                    write(child, to: &writer)
                }
            }
        case .object:
            writer.object { writer in
                for child in value.children {
                    writer.name(child.name ?? "")
                    write(child, to: &writer)
                }
            }
        }
    }

    private func printed(_ document: JSONDocument) -> [UInt8] {
        var writer = JSONWriter()
        write(document.root, to: &writer)
        return writer.finish(trailingNewline: false)
    }

    @Test(arguments: 1...16 as ClosedRange<UInt64>)
    func mutations(seed: UInt64) throws {
        var random = ConfigurationFixtures.Random(seed: seed)
        var accepted = 0
        for round in 0..<250 {
            let bytes = mutated(using: &random)
            let document: JSONDocument
            do throws(JSONSyntaxError) {
                document = try JSONDocument(parsing: bytes)
            } catch {
                #expect((0...bytes.count).contains(error.offset), "seed \(seed), round \(round)")
                #expect(error.position == JSONPosition(of: error.offset, in: bytes), "seed \(seed), round \(round)")
                #expect(!error.reason.isEmpty && error.description.utf8.count < 700, "seed \(seed), round \(round)")
                continue
            }
            accepted += 1
            // What was read can be printed, and what was printed means the same.
            let text = printed(document)
            #expect(try printed(JSONDocument(parsing: text)) == text, "seed \(seed), round \(round)")
        }
        #expect(accepted > 0 && accepted < 250, "the mutations prove nothing")
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func decodingMutations(seed: UInt64) {
        var random = ConfigurationFixtures.Random(seed: seed &+ 1000)
        for round in 0..<250 {
            let bytes = mutated(using: &random)
            do throws(ConfigurationDecodingError) {
                let services = try ConfigurationDecoder.services(parsing: bytes)
                #expect(ConfigurationValidator.issues(in: services).isEmpty, "seed \(seed), round \(round)")
            } catch {
                #expect(!error.problems.isEmpty, "seed \(seed), round \(round)")
                #expect(Set(error.issues.map(\.pointer)).count == error.issues.count, "seed \(seed), round \(round)")
                for problem in error.problems {
                    #expect(problem.position.line >= 1 && problem.position.column >= 1)
                    #expect(problem.issue.pointer.isEmpty || problem.issue.pointer.hasPrefix("/"))
                    #expect(!problem.issue.detail.isEmpty && problem.issue.detail.utf8.count < 700)
                }
            }
            _ = try? ConfigurationDecoder.service(parsing: bytes, named: "web")
            _ = try? ConfigurationDecoder.backend(parsing: bytes)
        }
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func randomBytes(seed: UInt64) {
        var random = ConfigurationFixtures.Random(seed: seed)
        for _ in 0..<500 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            _ = try? JSONDocument(parsing: bytes)
            _ = try? JSONDocument(parsing: [UInt8(ascii: "["), UInt8(ascii: "\"")] + bytes)
        }
    }

    /// Every prefix of a document is refused, with a place inside it or at its end.
    @Test func everyPrefixIsRefused() throws {
        let bytes = Array(ConfigurationFixtures.everyField.utf8)
        for count in 0..<bytes.count - 1 {
            let error = try #require(throws: JSONSyntaxError.self) { try JSONDocument(parsing: bytes[..<count]) }
            #expect(error.offset <= count)
        }
        _ = try JSONDocument(parsing: bytes)
    }

    // MARK: Time

    /// Time this thread has had on a processor: what others do on this machine does not count.
    private func threadNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// The least of three measurements: what disturbs only adds.
    private func cost(of work: () -> Void) -> UInt64 {
        (0..<3).map { _ in
            let start = threadNanoseconds()
            work()
            return threadNanoseconds() - start
        }.min() ?? 0
    }

    /// Shapes that tempt a parser into quadratic time. Eight times the input may cost eight times the time; were it
    /// quadratic it would be 64 times.
    @Test(arguments: [
        ("elements", "[", "5,", "5]"),
        ("lists", "[", "[],", "[]]"),
        ("string", "\"", "aé", "\""),
        ("escapes", "\"", "\\n\\u00e9", "\""),
        ("lines", "", "\n\n", "[]"),
        ("cut off", "[", "{\"a\":1},", ""),
        ("members", "[{", "", "}]"),
    ])
    func timeIsLinear(shape: String, start: String, piece: String, end: String) {
        func text(_ count: Int) -> [UInt8] {
            let middle =
                piece.isEmpty
                ? (0..<count).map { "\"n\($0)\":1" }.joined(separator: ",") : String(repeating: piece, count: count)
            return Array((start + middle + end).utf8)
        }
        func cost(_ count: Int) -> UInt64 {
            let bytes = text(count)
            return self.cost { _ = try? JSONDocument(parsing: bytes) }
        }
        let small = cost(3000)
        let large = cost(24_000)
        #expect(large < small * 28, "\(shape): \(small) ns for 3000, \(large) ns for 24000")
    }

    /// As above, for all that comes after parsing.
    @Test func decodingTimeIsLinear() {
        func text(_ count: Int, isValid: Bool) -> [UInt8] {
            let services = (0..<count).map { index in
                "{\"name\":\"s\(index)\",\"address\":\":\(index + 1)\",\"backends\":[{\"name\":\"b\","
                    + "\"address\":\"a:1\",\"weight\":\(isValid ? 1 : 300)}]}"
            }
            return Array("[\(services.joined(separator: ",\n"))]".utf8)
        }
        for isValid in [true, false] {
            let small = text(120, isValid: isValid)
            let large = text(960, isValid: isValid)
            let smallCost = cost { _ = try? ConfigurationDecoder.services(parsing: small) }
            let largeCost = cost { _ = try? ConfigurationDecoder.services(parsing: large) }
            #expect(largeCost < smallCost * 28, "\(smallCost) ns for 120, \(largeCost) ns for 960, valid: \(isValid)")
        }
    }
}
