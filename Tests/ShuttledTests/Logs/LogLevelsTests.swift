// Levels by part of the program, read from a flag and changed while it runs.

import Logging
import Testing

@testable import shuttled

@Suite struct LogLevelsTests {
    @Test func rulesAreRead() throws {
        #expect(try LogRules(parsing: "debug") == LogRules(base: .debug))
        let rules = try LogRules(parsing: "health=debug,warning,admin=trace")
        #expect(rules.level(of: .health) == .debug && rules.level(of: .admin) == .trace)
        #expect(rules.level(of: .control) == .warning)
        #expect(try LogRules(parsing: "names=error").level(of: .engine) == .info)
    }

    @Test(arguments: [
        ("", "trace, debug, info"), ("loud", "trace, debug, info"), ("info,", "trace, debug, info"),
        ("info,debug", "two levels for everything"), ("health=debug,health=info", "two levels for health"),
        ("info,nobody=debug", "admin, control, engine, health, names, process"), ("critical", "trace, debug"),
        ("health=", "trace, debug"), ("=debug", "before = must be one of"),
    ])
    func wrongRulesAreRefused(_ text: String, _ part: String) {
        #expect(throws: LogRules.ParsingError.self) { try LogRules(parsing: text) }
        do throws(LogRules.ParsingError) {
            _ = try LogRules(parsing: text)
        } catch {
            #expect(error.explanation.contains(part), "\(error.explanation)")
        }
    }

    @Test func levelsAreSetAndTakenBack() {
        let levels = LogLevels(LogRules(base: .warning, components: [.health: .debug]))
        levels.set([.admin: .trace, .health: .error])
        #expect(levels.level(of: .admin) == .trace && levels.level(of: .health) == .error)
        #expect(levels.level(of: .control) == .warning)
        levels.set([.admin: nil, .health: nil])
        #expect(levels.level(of: .admin) == .warning && levels.level(of: .health) == .debug)
    }

    /// Loggers that were made before go by what is in force now, each by its part's level.
    @Test func loggersFollow() {
        let texts = LogCollector.Texts()
        let levels = LogLevels()
        let sink = LogSink { texts.add(String(decoding: $0, as: UTF8.self)) }
        let logger = Logger(label: "test") { LineLogHandler(label: $0, format: .text, levels: levels, sink: sink) }
        let (health, admin) = (logger.of(.health), logger.of(.admin))
        health.debug("no")
        levels.set([.health: .debug, .admin: .error])
        health.debug("yes")
        admin.warning("no")
        admin.of(.health).debug("yes")
        levels.set([.health: nil])
        health.debug("no")
        health.info("yes")
        #expect(texts.all.count == 3 && texts.all.allSatisfy { $0.contains(" yes component=health") }, "\(texts.all)")
    }

    @Test func aLevelOfItsOwnWins() {
        let texts = LogCollector.Texts()
        let sink = LogSink { texts.add(String(decoding: $0, as: UTF8.self)) }
        var logger = Logger(label: "test") { LineLogHandler(label: $0, format: .text, levels: LogLevels(), sink: sink) }
        logger.logLevel = .error
        logger.warning("no")
        #expect(texts.all.isEmpty)
    }
}
