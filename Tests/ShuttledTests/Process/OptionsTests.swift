// The command line: every flag with one dash and two, and what is said of those that cannot be used.

import ArgumentParser
import Logging
import Testing

@testable import shuttled

@Suite struct OptionsTests {
    private static func message(_ arguments: [String]) -> String? {
        do {
            _ = try Options.parsed(arguments)
            return nil
        } catch {
            #expect(Options.exitCode(for: error).rawValue == ExitStatus.usage.rawValue)
            return Options.fullMessage(for: error)
        }
    }

    @Test func defaults() throws {
        let options = try Options.parse([])
        #expect(try options.resolverAddress == nil)
        #expect(options.config == nil && options.state == nil && options.rings == nil)
        #expect(try options.adminAddress.description == "127.0.0.1:9090")
        #expect(options.logLevel == LogRules() && options.logFormat == .text)
        #expect(options.drainTimeout == 30_000)
        #expect(!options.check && !options.demo && !options.version && !options.configWatch)
    }

    @Test(arguments: ["-", "--"])
    func everyFlag(_ dash: String) throws {
        let options = try Options.parse([
            "\(dash)config", "c.json", "\(dash)state", "s.json", "\(dash)http", "127.0.0.1:1", "\(dash)rings", "3",
            "\(dash)http-host", "a.example", "\(dash)http-host", "b.example", "\(dash)log-level", "debug",
            "\(dash)log-format", "json", "\(dash)drain-timeout", "5", "\(dash)check", "\(dash)version",
            "\(dash)resolver", "[::1]:5353", "\(dash)token-file", "tokens",
        ])
        #expect(options.config == "c.json" && options.state == "s.json" && options.rings == 3)
        #expect(options.httpHost == ["a.example", "b.example"])
        #expect(options.logLevel == LogRules(base: .debug) && options.logFormat == .json && options.drainTimeout == 5)
        #expect(options.check && options.version && options.tokenFile == "tokens")
        #expect(try options.resolverAddress?.description == "[::1]:5353")
        #expect(try Options.parse(["\(dash)demo"]).demo)
        #expect(try Options.parse(["\(dash)http", "/a", "\(dash)http-mode", "0660"]).socketMode == 0o660)
        #expect(try Options.parse(["\(dash)config", "c.json", "\(dash)config-watch"]).configWatch)
        #expect(try Options.parse(["\(dash)http=127.0.0.1:1"]).http == "127.0.0.1:1")
    }

    @Test(arguments: ["-help", "--help", "-h"])
    func help(_ flag: String) {
        let error = #expect(throws: (any Error).self) { try Options.parsed([flag]) }
        guard let error else {
            return
        }
        #expect(Options.exitCode(for: error).rawValue == 0)
        let text = Options.fullMessage(for: error)
        for flag in [
            "-config", "-state", "-http", "-rings", "-log-level", "-drain-timeout", "-check", "-version", "-token-file",
            "-http-mode",
        ] {
            #expect(text.contains(flag))
        }
    }

    @Test(arguments: [
        "127.0.0.1:9090", "127.9.9.9:1", "[::1]:9090", "localhost:9090", "/run/shuttle/admin.sock",
        "unix:/run/shuttle/admin.sock", "127.0.0.1:0", "some.name.example:9090",
    ])
    func adminAddresses(_ text: String) throws {
        _ = try Options.parse(["-http", text]).adminAddress
    }

    @Test(arguments: [":9090", "0.0.0.0:9090", "[::]:9090", "192.0.2.1:9090", "[2001:db8::1]:9090"])
    func othersMustNotReachTheAdminAPI(_ address: String) {
        let message = Self.message(["-http", address])
        for part in [address, "-token-file", "loopback", "unix socket"] {
            #expect(message?.contains(part) == true, "\(part) in \(message ?? "nothing")")
        }
        #expect(Self.message(["-http", address, "-token-file", "tokens"]) == nil)
    }

    @Test(arguments: [
        (["-http", "9090"], "no port"), (["-http", ""], "empty"), (["-http", "127.0.0.1:99999"], "out of range"),
        (["-http", "unix:"], "-http"), (["-http", "unix:relative"], "start with /"),
        (["-http-host", "a b"], "-http-host"), (["-config", ""], "-config is empty"),
        (["-state", ""], "-state is empty"), (["-rings", "0"], "from 1 to 256"), (["-rings", "257"], "from 1 to 256"),
        (["-rings", "many"], "many"), (["-drain-timeout", "-1"], "drain-timeout"),
        (["-drain-timeout", "86400001"], "from 0 to 86400000"), (["-log-level", "loud"], "trace, debug, info"),
        (["-log-level", "info,nobody=debug"], "admin, control, engine"),
        (["-log-format", "xml"], "text, json"), (["-demo", "-config", "c"], "-demo brings"),
        (["-config-watch"], "-config-watch has no file"),
        (["-config-watch", "-config", "c", "-state", "s"], "exclude each other"),
        (["-demo", "-state", "s"], "-demo brings"), (["-demo", "-check"], "exclude"), (["-config"], "Missing value"),
        (["-resolver", "10.0.0.53"], "no port"), (["-resolver", "dns.test:53"], "numeric host"),
        (["-resolver", ":53"], "numeric host"), (["-resolver", ""], "empty"),
        (["-token-file", ""], "-token-file is empty"), (["-demo", "-token-file", "t"], "without a token"),
        (["-http-mode", "0660"], "no unix socket"), (["-http", "/a", "-http-mode", "0999"], "octal digits"),
        (["-http", "/a", "-http-mode", "u=rw"], "octal digits"),
    ])
    func whatCannotBeUsedIsRefused(_ arguments: [String], _ words: String) {
        let message = Self.message(arguments)
        #expect(message?.contains(words) == true, "\(message ?? "accepted")")
    }

    @Test(arguments: ["-user", "-group", "-token-file", "-http-hosts", "-confg", "extra"])
    func whatDoesNotExistIsUnknown(_ argument: String) {
        let message = Self.message([argument])
        #expect(message?.contains(argument) == true, "\(message ?? "accepted")")
    }
}
