// Owns what the variables of a service manager may say.

import Testing

@testable import shuttled

@Suite struct ManagerEnvironmentTests {
    private func environment(_ variables: [String: String]) throws(ManagerEnvironment.Invalid) -> ManagerEnvironment {
        try ManagerEnvironment(variables, process: 42)
    }

    private func problem(_ variables: [String: String]) -> String? {
        do throws(ManagerEnvironment.Invalid) {
            _ = try environment(variables)
            return nil
        } catch {
            return error.text
        }
    }

    @Test func nobodyThere() throws {
        let none = try environment([:])
        #expect(none.watchdogMicroseconds == nil && none.socketNames.isEmpty)
        #expect(try environment(["WATCHDOG_USEC": "", "WATCHDOG_PID": "", "LISTEN_FDS": "3"]) == none)
    }

    @Test func watchdog() throws {
        #expect(try environment(["WATCHDOG_USEC": "20000000"]).watchdogMicroseconds == 20_000_000)
        #expect(try environment(["WATCHDOG_USEC": "1", "WATCHDOG_PID": "42"]).watchdogMicroseconds == 1)
        #expect(try environment(["WATCHDOG_USEC": "1", "WATCHDOG_PID": "43"]).watchdogMicroseconds == nil)
        // Another's is not looked at.
        #expect(try environment(["WATCHDOG_USEC": "x", "WATCHDOG_PID": "43"]).watchdogMicroseconds == nil)
    }

    @Test(arguments: ["0", "-5", "1.5", "20s", " 1", "18446744073709551616"])
    func aWatchdogThatIsNone(text: String) {
        #expect(problem(["WATCHDOG_USEC": text])?.contains("WATCHDOG_USEC is \"\(text)\"") == true)
    }

    @Test func sockets() throws {
        let mine = ["LISTEN_PID": "42"]
        #expect(try environment(mine.merging(["LISTEN_FDS": "0"]) { $1 }).socketNames == [])
        #expect(try environment(mine.merging(["LISTEN_FDS": "0", "LISTEN_FDNAMES": ""]) { $1 }).socketNames == [])
        #expect(try environment(mine.merging(["LISTEN_FDS": "2"]) { $1 }).socketNames == ["", ""])
        #expect(
            try environment(mine.merging(["LISTEN_FDS": "3", "LISTEN_FDNAMES": "a::a"]) { $1 }).socketNames == [
                "a", "", "a",
            ])
        #expect(try environment(["LISTEN_PID": "41", "LISTEN_FDS": "x"]).socketNames == [])
        #expect(try environment(["LISTEN_PID": "x", "LISTEN_FDS": "1"]).socketNames == [])
    }

    @Test(arguments: ["", "-1", "4097", "two", "1 "])
    func aNumberOfSocketsThatIsNone(text: String) {
        #expect(problem(["LISTEN_PID": "42", "LISTEN_FDS": text])?.contains("LISTEN_FDS is \"\(text)\"") == true)
        #expect(problem(["LISTEN_PID": "42"])?.contains("LISTEN_FDS is \"\"") == true)
    }

    @Test(arguments: [
        ("1", "a:b", "2 names for 1"), ("2", "a", "1 names for 2"), ("0", "a", "1 names for 0"), ("1", "a:", "2 names"),
    ])
    func namesThatAreTooFewOrTooMany(count: String, names: String, said: String) {
        let text = problem(["LISTEN_PID": "42", "LISTEN_FDS": count, "LISTEN_FDNAMES": names])
        #expect(
            text?.contains("LISTEN_FDNAMES is \"\(names)\"") == true && text?.contains(said) == true, "\(text ?? "")")
    }

    @Test func howOftenRingsAreLookedAt() {
        #expect(ManagerReports.interval(watchdogMicroseconds: nil) == .seconds(5))
        #expect(ManagerReports.interval(watchdogMicroseconds: 2_000_000) == .milliseconds(500))
        #expect(ManagerReports.interval(watchdogMicroseconds: 60_000_000) == .seconds(1))
        #expect(ManagerReports.interval(watchdogMicroseconds: 1) == .milliseconds(1))
        #expect(ManagerReports.interval(watchdogMicroseconds: .max) == .seconds(1))
        #expect(ManagerReports.stallLimitMilliseconds(watchdogMicroseconds: nil) == 10_000)
        #expect(ManagerReports.stallLimitMilliseconds(watchdogMicroseconds: 10_000_000) == 5000)
        #expect(ManagerReports.stallLimitMilliseconds(watchdogMicroseconds: 1) == 1)
    }
}
