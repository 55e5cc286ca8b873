// Log lines in both forms.

import FoundationEssentials
import Logging
import Testing

@testable import shuttled

@Suite struct LoggingTests {
    private static func lines(
        _ format: LogFormat, level: Logger.Level = .trace, _ body: (Logger) -> Void
    ) -> [String] {
        let texts = LogCollector.Texts()
        let sink = LogSink { texts.add(String(decoding: $0, as: UTF8.self)) }
        body(Logger(label: "test") { LineLogHandler(label: $0, format: format, logLevel: level, sink: sink) })
        return texts.all
    }

    @Test func textLines() {
        let lines = Self.lines(.text) { logger in
            logger.info("it is ready", metadata: ["b": "two words", "a": "plain", "c": "", "d": "say \"hi\"=x"])
        }
        #expect(lines.count == 1)
        #expect(lines[0].hasSuffix(" info it is ready a=plain b=\"two words\" c=\"\" d=\"say \\\"hi\\\"=x\"\n"))
        #expect(lines[0].prefix(24).wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
    }

    @Test func jsonLines() throws {
        struct Line: Decodable {
            var time: String
            var level: String
            var message: String
            var metadata: [String: String]?
        }
        let lines = Self.lines(.json) { logger in
            logger.warning("a \"quote\" and a\nnew line", metadata: ["level": "not mine", "ä\u{1}": "\u{7f}\\"])
            logger.error("nothing more")
        }
        let first = try JSONDecoder().decode(Line.self, from: Data(lines[0].utf8))
        #expect(first.level == "warning")
        #expect(first.message == "a \"quote\" and a\nnew line")
        #expect(first.metadata == ["level": "not mine", "ä\u{1}": "\u{7f}\\"])
        #expect(lines[0].utf8.dropLast().contains(UInt8(ascii: "\n")) == false, "one line for each event")
        #expect(try JSONDecoder().decode(Line.self, from: Data(lines[1].utf8)).metadata == nil)
    }

    @Test(arguments: LogFormat.allCases)
    func oneEventIsOneLineWhateverIsInIt(_ format: LogFormat) {
        let hostile = "x\r\n2025-01-01T00:00:00.000Z error forged\u{1b}[31m\u{0}\u{9b}"
        let lines = Self.lines(format) { $0.info("\(hostile)", metadata: ["name": "\(hostile)"]) }
        #expect(lines.count == 1)
        #expect(lines[0].unicodeScalars.dropLast().allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) })
        #expect(lines[0].hasSuffix("\n"))
    }

    @Test func levelsAreObserved() {
        let lines = Self.lines(.text, level: .warning) { logger in
            logger.info("no")
            logger.warning("yes")
            logger.error("yes")
        }
        #expect(lines.count == 2)
    }

    @Test func theMoreParticularValueWins() {
        let lines = Self.lines(.text) { logger in
            var logger = logger
            logger[metadataKey: "request"] = "1"
            logger[metadataKey: "peer"] = "a"
            logger.info("m", metadata: ["request": "2"])
        }
        #expect(lines[0].hasSuffix(" m peer=a request=2\n"))
    }

    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"), (951_868_800_000, "2000-03-01T00:00:00.000Z"),
        (1_735_689_599_001, "2024-12-31T23:59:59.001Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
    ])
    func times(_ milliseconds: Int, _ text: String) {
        #expect(Timestamp.text(milliseconds: milliseconds) == text)
    }
}
