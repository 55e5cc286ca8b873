// Owns the last words of a simulation that is ended by a trap in the engine: without them the seed would be lost.

import Glibc

/// What the present thread simulates, for the signal handler.
final class CrashReport {
    private let headline: String
    private let log: EventLog

    /// Prints the headline and the last events should `body` trap.
    static func covering<R>(_ headline: String, _ log: EventLog, _ body: () -> R) -> R {
        _ = isInstalled
        let report = Unmanaged.passRetained(CrashReport(headline: headline, log: log))
        let previous = pthread_getspecific(key)
        pthread_setspecific(key, report.toOpaque())
        defer {
            pthread_setspecific(key, previous)
            report.release()
        }
        return body()
    }

    private init(headline: String, log: EventLog) {
        self.headline = headline
        self.log = log
    }

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        pthread_key_create(&key, nil)
        return key
    }()

    private static let isInstalled: Bool = {
        for signal in [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS] {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { CrashReport.speak($0) }
            action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND)) | SA_NODEFER
            sigaction(signal, &action, nil)
        }
        return true
    }()

    /// Runs on the thread that trapped, outside of any allocation: it may take its time. The signal's default action
    /// follows when the instruction is tried again.
    private static func speak(_ signal: Int32) {
        if let pointer = pthread_getspecific(key) {
            let report = Unmanaged<CrashReport>.fromOpaque(pointer).takeUnretainedValue()
            let text =
                "\n\(report.headline)\nended by signal \(signal); the last events:\n"
                + report.log.lines.joined(separator: "\n") + "\n"
            _ = text.withCString { write(2, $0, strlen($0)) }
        }
        raise(signal)
    }
}
