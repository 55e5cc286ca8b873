// A few warnings of a kind, and a count of the others.

import Logging
import Synchronization
import Testing

@testable import shuttled

@Suite struct LogLimiterTests {
    private static let window = LogLimiter.windowNanoseconds

    private func kind(_ message: String = "m", _ level: Logger.Level = .warning) -> LogLimiter.Kind {
        LogLimiter.Kind(component: .health, level: level, message: message)
    }

    @Test func aFewPassAndTheOthersAreCounted() {
        var limiter = LogLimiter()
        for number in 0..<12 {
            let isAdmitted = limiter.admit(kind(), at: UInt64(number))
            #expect(isAdmitted == (number < LogLimiter.linesMax))
        }
        let rests = [Self.window - 1, Self.window, 2 * Self.window].map { limiter.takeRests(at: $0) }
        #expect(rests[0].isEmpty, "the window is not over")
        #expect(rests[1] == [.init(kind: kind(), count: 7)])
        #expect(rests[2].isEmpty, "told once")
        let isAdmitted = limiter.admit(kind(), at: 2 * Self.window)
        #expect(isAdmitted, "a new window")
    }

    @Test func nothingIsSaidWhereNothingWasHeldBack() {
        var limiter = LogLimiter()
        for _ in 0..<LogLimiter.linesMax { _ = limiter.admit(kind(), at: 0) }
        let rests = limiter.takeRests(at: Self.window)
        #expect(rests.isEmpty)
    }

    @Test func kindsAreApart() {
        var limiter = LogLimiter()
        for _ in 0..<10 { _ = limiter.admit(kind("a"), at: 0) }
        var other = kind("a")
        other.component = .names
        for kind in [kind("b"), kind("a", .error), other] {
            let isAdmitted = limiter.admit(kind, at: 0)
            #expect(isAdmitted, "\(kind)")
        }
    }

    @Test func theEndTellsAll() {
        var limiter = LogLimiter()
        for _ in 0..<7 { _ = limiter.admit(kind("a"), at: 0) }
        for _ in 0..<6 { _ = limiter.admit(kind("b"), at: 5) }
        let rests = limiter.takeRests(at: 6, endingAll: true)
        #expect(rests.map(\.count) == [2, 1])
    }

    /// Messages that are all different do not fill the memory: they become one kind.
    @Test func kindsAreBounded() {
        var limiter = LogLimiter()
        var admitted = 0
        for number in 0..<10_000 where limiter.admit(kind("\(number)"), at: 0) { admitted += 1 }
        #expect(admitted == LogLimiter.kindsMax + LogLimiter.linesMax)
        let rests = limiter.takeRests(at: Self.window)
        #expect(rests.map(\.count) == [10_000 - admitted])
    }

    /// The handler holds back, and says how many before the next line, or when it is asked to.
    @Test func linesSayHowManyWereHeldBack() {
        let texts = LogCollector.Texts()
        let now = Mutex<UInt64>(0)
        let gate = LogGate { now.withLock { $0 } }
        let sink = LogSink { texts.add(String(decoding: $0, as: UTF8.self)) }
        let handler = LineLogHandler(label: "test", format: .text, logLevel: .trace, sink: sink, gate: gate)
        let logger = Logger(label: "test") { _ in handler }.of(.names)
        for number in 0..<9 { logger.warning("it fails", metadata: ["n": "\(number)"]) }
        for _ in 0..<9 { logger.info("it runs") }
        #expect(texts.all.count { $0.contains("it fails") } == 5)
        #expect(texts.all.count { $0.contains("it runs") } == 9, "what is no warning is not held back")
        now.withLock { $0 = Self.window }
        handler.tellRests()
        #expect(
            texts.all.last?.hasSuffix(
                " warning 4 more like \"it fails\" were held back component=names held_back=4\n") == true,
            "\(texts.all.last ?? "")")
        logger.warning("it fails", metadata: ["n": "9"])
        #expect(texts.all.last?.contains("n=9") == true)
        for _ in 0..<6 { logger.error("it breaks") }
        now.withLock { $0 = 3 * Self.window }
        logger.error("it breaks", metadata: ["n": "last"])
        #expect(texts.all.suffix(2).first?.contains("1 more like") == true, "\(texts.all.suffix(2))")
    }

    @Test func criticalLinesAlwaysPass() {
        let texts = LogCollector.Texts()
        let sink = LogSink { texts.add(String(decoding: $0, as: UTF8.self)) }
        let handler = LineLogHandler(label: "test", format: .text, logLevel: .trace, sink: sink, gate: LogGate { 0 })
        let logger = Logger(label: "test") { _ in handler }
        for _ in 0..<20 { logger.critical("the end") }
        #expect(texts.all.count == 20)
    }
}
