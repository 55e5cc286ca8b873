// Owns from which level on each part of the program is logged, and changing that while it runs.
// Leaves to others: the flag and the request that do (Options, LogLevelsResource), obeying it (Observability/Logging).

import Logging
import Synchronization

/// A level for each part of the program.
struct LogRules: Equatable, Sendable {
    /// Levels that can be asked for. `critical` is left out: nobody wants to miss errors.
    static let levels: [Logger.Level] = [.trace, .debug, .info, .notice, .warning, .error]
    static let levelList = levels.map(\.rawValue).joined(separator: ", ")

    /// Of parts that have none of their own.
    var base = Logger.Level.info
    var components: [LogComponent: Logger.Level] = [:]

    func level(of component: LogComponent) -> Logger.Level { components[component] ?? base }

    static func level(_ text: some StringProtocol) -> Logger.Level? { levels.first { $0.rawValue == text } }

    struct ParsingError: Error, Equatable {
        /// The end of a sentence that has named the text.
        let explanation: String
    }

    init(base: Logger.Level = .info, components: [LogComponent: Logger.Level] = [:]) {
        self.base = base
        self.components = components
    }

    /// Reads `info`, or `info,health=debug,admin=warning`: a level for all parts and levels for some, in any order.
    init(parsing text: String) throws(ParsingError) {
        var hasBase = false
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let level = LogRules.level(sides[sides.count - 1]) else {
                throw ParsingError(
                    explanation: "each level must be one of \(LogRules.levelList), such as info or info,health=debug")
            }
            if sides.count == 1 {
                guard !hasBase else { throw ParsingError(explanation: "it has two levels for everything; give one") }
                hasBase = true
                base = level
                continue
            }
            guard let component = LogComponent(rawValue: String(sides[0])) else {
                throw ParsingError(explanation: "before = must be one of \(LogComponent.list)")
            }
            guard components.updateValue(level, forKey: component) == nil else {
                throw ParsingError(explanation: "it has two levels for \(component.rawValue); give one")
            }
        }
    }
}

/// The rules in force. May be used from anywhere.
final class LogLevels: Sendable {
    private let rules: Mutex<LogRules>
    /// What holds where nobody has changed anything.
    private let initial: Mutex<LogRules>

    init(_ rules: LogRules = LogRules()) {
        self.rules = Mutex(rules)
        initial = Mutex(rules)
    }

    /// Those of the process.
    static let process = LogLevels()

    /// At the start of the process.
    func begin(with rules: LogRules) {
        initial.withLock { $0 = rules }
        self.rules.withLock { $0 = rules }
    }

    func level(of component: LogComponent) -> Logger.Level { rules.withLock { $0.level(of: component) } }

    var current: [LogComponent: Logger.Level] {
        let rules = rules.withLock { $0 }
        return Dictionary(uniqueKeysWithValues: LogComponent.allCases.map { ($0, rules.level(of: $0)) })
    }

    /// Sets levels; nil is that of the start. Parts that are not named keep theirs.
    func set(_ levels: [LogComponent: Logger.Level?]) {
        let initial = initial.withLock { $0 }
        rules.withLock { rules in
            for (component, level) in levels { rules.components[component] = level ?? initial.level(of: component) }
        }
    }
}
