// Owns what the process ends with: exit codes, and how a start that failed is told.

import Glibc
import Logging

/// Exit codes, after sysexits.h where it has one.
enum ExitStatus: Int32, Sendable {
    case success = 0
    /// `-check` found something.
    case checkFailed = 1
    case usage = 64
    case badConfiguration = 65
    case engineUnavailable = 69
    /// The process could not be trusted any more.
    case fault = 70
    case cannotListen = 71
}

/// Why the start came to nothing.
struct StartFailure: Error, Equatable, Sendable {
    var status: ExitStatus
    /// One for each problem.
    var lines: [String]

    init(_ status: ExitStatus, _ text: String) {
        self.init(status, lines: text.split(separator: "\n").map(String.init))
    }

    init(_ status: ExitStatus, lines: [String]) {
        self.status = status
        self.lines = lines
    }

    /// A flag that cannot be followed here.
    init(_ refusal: IdentityRefusal) {
        self.init(.usage, refusal.text)
    }

    static func ofHanded<Value>(_ body: () throws(HandedSocketsRefusal) -> Value) throws(StartFailure) -> Value {
        do throws(HandedSocketsRefusal) {
            return try body()
        } catch {
            throw StartFailure(.cannotListen, lines: error.lines)
        }
    }

    static func of<Value>(_ body: () throws(IdentityRefusal) -> Value) throws(StartFailure) -> Value {
        do throws(IdentityRefusal) {
            return try body()
        } catch {
            throw StartFailure(error)
        }
    }

    /// Says why: as they are for people, as events where programs read.
    func tell(format: LogFormat, logger: Logger) {
        switch format {
        case .text:
            LogSink.standardError.write(lines.flatMap { Array("shuttled: \($0)\n".utf8) })
        case .json:
            for line in lines {
                logger.error("\(line)")
            }
        }
    }
}

/// Standard output, for what was asked for: version, demo, check.
enum StandardOutput {
    static func write(_ text: String) {
        LogSink.write(Array(text.utf8), to: STDOUT_FILENO)
    }
}
