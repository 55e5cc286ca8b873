// The client's command line: what the flags come to as requests, and what is said of those that cannot be used.

import ArgumentParser
import NIOCore
import Testing

@testable import shuttled

@Suite struct ClientArgumentsTests {
    private static func command<Command: ClientCommand>(_ arguments: String...) throws -> Command {
        try #require(try CtlCommand.parseAsRoot(arguments) as? Command)
    }

    private static func message(_ arguments: [String]) -> String? {
        do {
            _ = try CtlCommand.parseAsRoot(arguments)
            return nil
        } catch {
            #expect(CtlCommand.exitCode(for: error).rawValue == ClientStatus.usage.rawValue)
            return CtlCommand.fullMessage(for: error)
        }
    }

    @Test func onlyTheFirstWordMakesItTheClient() {
        #expect(CtlCommand.isMeant(by: ["shuttled", "ctl", "get"]))
        #expect(!CtlCommand.isMeant(by: ["shuttled", "-config", "ctl"]))
        #expect(!CtlCommand.isMeant(by: ["shuttled"]))
        #expect(throws: (any Error).self) { try Options.parsed(["-http", "127.0.0.1:1", "ctl", "get"]) }
    }

    @Test(arguments: ["-", "--"])
    func flagsWorkBeforeAndBehindTheCommand(_ dash: String) throws {
        let behind: GetCommand = try Self.command("get", "web", "\(dash)http", ":1", "\(dash)output", "json")
        let before: GetCommand = try Self.command("\(dash)http", ":1", "\(dash)output=json", "get", "web")
        for command in [behind, before] {
            #expect(try command.connection.address.description == ":1")
            #expect(command.connection.output == .json && command.path == "web")
        }
        let drain: DrainCommand = try Self.command(
            "drain", "\(dash)wait", "90s", "web/one", "\(dash)if-match", "abc", "\(dash)confirm", "1m"
        )
        #expect(drain.wait?.amount == .seconds(90) && drain.change.confirm?.text == "1m")
        #expect(drain.change.ifMatchValue == "\"abc\"")
    }

    @Test(arguments: [
        (["get", "a/b/c"], "a/b/c"), (["get", "v1"], "reserved"), (["get", "-config", "-tag"], "exclude"),
        (["get", "-http", "nonsense"], "-http"), (["get", "-http", "127.0.0.1:0"], "port 0"),
        (["get", "-timeout", "0"], "-timeout"), (["get", "-timeout", "5"], "-timeout"),
        (["get", "-output", "xml"], "xml"),
        (["drain", "web"], "maintenance"), (["drain", "web/one", "-wait", "soon"], "-wait"),
        (["drain", "web/one", "-wait", "1s", "-dry-run"], "exclude"), (["delete", "config"], "SERVICE"),
        (["set", "web"], "field=value"), (["set", "web", "weight"], "weight"), (["set", "web", "a=1", "a=2"], "twice"),
        (["set", "web", "a={"], "JSON"), (["wait", "web"], "goal"), (["wait", "web", "gone"], "gone"),
        (["wait", "web", "drained", "later"], "later"), (["wait", "web", "drained", "5m", "x"], "too many"),
        (["put", "web"], "file"), (["put", "web", "f", "-create-only", "-if-match", "x"], "exclude"),
        (["set", "web", "a=1", "-dry-run", "-confirm", "60s"], "exclude"),
        (["set", "web", "a=1", "-if-match", ""], "-if-match"),
        (["history", "-limit", "0"], "-limit"), (["watch", "-interval", "1ms"], "-interval"),
        (["watch", "-interval", "2h"], "-interval"),
        (["watch", "-output", "json"], "get"), (["watch", "a/b"], "SERVICE"), (["events", "-after", ""], "-after"),
        (["get", "-token", "secret"], "-token"), (["frob"], "frob"),
    ])
    func badArgumentsAreUsage(_ arguments: [String], _ word: String) throws {
        let message = try #require(Self.message(arguments))
        #expect(message.contains(word), "\(message)")
    }

    @Test func waitingReadsAsItIsSpoken() throws {
        let full: WaitCommand = try Self.command("wait", "web/one", "until", "drained", "5m")
        let (goal, limit) = try WaitCommand.read(full.words)
        #expect(goal == .drained && limit.text == "5m")
        let short = try WaitCommand.read(["healthy"])
        #expect(short.goal == .healthy && short.limit.amount == .seconds(60))
        let one = ClientWait(path: .backend(service: "web", name: "a:b"), goal: goal, limit: limit).request
        #expect(one.target == "/v1/services/web/wait?until=drained&backend=a%3Ab&timeout=5m")
        #expect(one.patience == .minutes(5), "the answer may take so much longer")
        let all = ClientWait(path: .service("web"), goal: .healthy, limit: limit).request
        #expect(all.target == "/v1/services/web/wait?until=healthy&timeout=5m")
    }

    @Test func changesCarryTheirConditions() throws {
        let set: SetCommand = try Self.command("set", "web", "weight=1", "-if-match", "\"v-1\"", "-confirm", "60s")
        let request = ClientChange.patch(.service("web"), [], done: "", options: set.change).completeRequest
        #expect(request.target == "/web?confirm=60s" && request.method == .PATCH)
        #expect(request.headers.contains { $0 == ("If-Match", "\"v-1\"") })
        #expect(request.headers.contains { $0 == ("Prefer", "return=minimal") })
        let trial: SetCommand = try Self.command("set", "web", "weight=1", "-dry-run")
        #expect(
            ClientChange.patch(.service("web"), [], done: "", options: trial.change).completeRequest.target
                == "/web?dry_run=1"
        )
    }

    @Test func pathsAreEncodedForTheServerToJudge() throws {
        #expect(try ClientPath(parsing: "config") == .configuration)
        #expect(try ClientPath(parsing: "/web/one") == .backend(service: "web", name: "one"))
        #expect(try ClientPath(parsing: "a b?").target == "/a%20b%3F")
        #expect(try ClientPath(parsing: "web/ü").configurationTarget == "/v1/services/web/backends/%C3%BC")
        for text in ["", "/", "web/", "/web//one", "..", "web/..", "metrics"] {
            #expect(throws: ClientPath.ParsingError.self) { try ClientPath(parsing: text) }
        }
    }

    @Test func aTokenIsOneWordAndIsNotTold() throws {
        #expect(try ConnectionOptions.token("secret\n", from: "x") == "secret")
        for text in ["", " \n", "two words", "sch\u{F6}n", "a\u{1}b"] {
            let failure = #expect(throws: ClientFailure.self) { try ConnectionOptions.token(text, from: "the file") }
            #expect(failure?.status == .usage && failure?.text.contains("the file") == true)
            #expect(failure?.text.contains("words") != true)
        }
    }

    @Test func eventsAreAskedForBehindTheLast() throws {
        let follow: EventsCommand = try Self.command("events", "-follow", "-types", "change,start")
        #expect(follow.request(behind: nil).target == "/v1/events?types=change,start")
        #expect(follow.request(behind: "p-7").target == "/v1/events?types=change,start&last_event_id=p-7")
        let once: EventsCommand = try Self.command("events")
        #expect(once.request(behind: "0").target == "/v1/events?last_event_id=0&follow=0")
    }

    @Test func namesAreCompletedFromTheServerThatIsMeant() {
        #expect(PathCompletion.address(words: ["shuttled", "ctl", "get", "-http", ":7"])?.description == ":7")
        #expect(PathCompletion.address(words: ["ctl", "--http=/run/a.sock", "get"])?.description == "unix:/run/a.sock")
        #expect(PathCompletion.address(words: ["ctl", "-http", "nonsense"]) == nil)
        var service = ServiceView()
        service.name = "web"
        var backend = BackendView()
        backend.name = "one"
        service.backends = [backend]
        #expect(PathCompletion.candidates([service], prefix: "w") == ["web"])
        #expect(PathCompletion.candidates([service], prefix: "web") == ["web", "web/one"])
        #expect(PathCompletion.candidates([service], prefix: "x") == [])
        // A shell expands what it is offered.
        for name in ["$(touch x)", "`x`", "a b", "a;b", "'", "a\nb", "*", "", "."] {
            service.backends[0].name = name
            #expect(PathCompletion.candidates([service], prefix: "web") == ["web"])
            var other = ServiceView()
            other.name = name
            #expect(PathCompletion.candidates([other], prefix: "") == [])
        }
    }
}
