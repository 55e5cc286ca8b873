// Owns the commands that wait for a change to have its effect: drain, ready, wait.
// Leaves to others: when it has (the server), making the change (ClientChange).

import ArgumentParser
import NIOCore
import ShuttleEngine

/// What can be waited for.
enum WaitGoal: String, CaseIterable, ExpressibleByArgument, Sendable {
    /// It has no sessions any more.
    case drained
    /// It is up, and its checks are good.
    case healthy
}

/// Waiting for a service or one of its backends.
struct ClientWait: Sendable {
    var path: ClientPath
    var goal: WaitGoal
    var limit: WrittenDuration

    var request: ClientRequest {
        var target = ""
        switch path {
        case .configuration: break
        case .service: target = "\(path.configurationTarget)/wait?until=\(goal.rawValue)&timeout=\(limit.text)"
        case .backend(let service, let name):
            target = "\(ClientPath.service(service).configurationTarget)/wait?until=\(goal.rawValue)"
            target += "&backend=\(ClientPath.encoded(name))&timeout=\(limit.text)"
        }
        var request = ClientRequest(.GET, target)
        request.patience = limit.amount
        return request
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        let answer = try session.client.success(of: request)
        guard session.format == .table else {
            return try session.output.write(answer.body)
        }
        guard let root = answer.document?.root, let waited = root.member("waited_milliseconds")?.integer else {
            throw .notShuttled(session.client.address)
        }
        let time = waited < 1000 ? "at once" : "after \((waited + 500) / 1000) s"
        try session.output.line("\(path.text) is \(goal.rawValue), \(time)")
    }
}

struct DrainCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Give a backend no new sessions, and with -wait, wait until it has none."
    )

    @Argument(help: ArgumentHelp("SERVICE/BACKEND.", valueName: "backend"), completion: PathCompletion.kind)
    var path: String

    @Option(
        name: .dashes("wait"),
        help: ArgumentHelp("Wait until it has no sessions, so long at most, such as 60s.", valueName: "time"),
        transform: WrittenDuration.read
    )
    var wait: WrittenDuration?

    @OptionGroup var change: ChangeOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        try StateChange.check(path, wait, change)
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        try StateChange(path: path, state: "drain", goal: .drained, wait: wait, change: change).perform(session)
    }
}

struct ReadyCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "ready",
        abstract: "Give a backend sessions again, and with -wait, wait until it is healthy."
    )

    @Argument(help: ArgumentHelp("SERVICE/BACKEND.", valueName: "backend"), completion: PathCompletion.kind)
    var path: String

    @Option(
        name: .dashes("wait"),
        help: ArgumentHelp("Wait until it is up and its checks are good, so long at most.", valueName: "time"),
        transform: WrittenDuration.read
    )
    var wait: WrittenDuration?

    @OptionGroup var change: ChangeOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        try StateChange.check(path, wait, change)
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        try StateChange(path: path, state: "ready", goal: .healthy, wait: wait, change: change).perform(session)
    }
}

/// Setting a backend's state, and waiting for what comes of it.
private struct StateChange {
    var path: String
    var state: String
    var goal: WaitGoal
    var wait: WrittenDuration?
    var change: ChangeOptions

    static func check(_ path: String, _ wait: WrittenDuration?, _ change: ChangeOptions) throws {
        guard case .backend = try ClientPath.read(path) else {
            throw ValidationError(
                "only backends have this state; write SERVICE/BACKEND, or take a whole service out of use with: "
                    + "ctl set SERVICE maintenance=true"
            )
        }
        if wait != nil, change.dryRun {
            throw ValidationError("-wait and -dry-run exclude each other: nothing comes of what is only tried")
        }
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        let path = try ClientPath.validated(path)
        let body = Array(#"{"state": "\#(state)"}"#.utf8)
        // Programs get one document: where it is waited, that of the wait. But what confirms a change must not be lost.
        let isSilent = wait != nil && session.format == .json && change.confirm == nil
        try ClientChange.patch(path, body, done: "\(path.text) is in state \(state)", options: change)
            .perform(session, isSilent: isSilent)
        if let wait {
            try ClientWait(path: path, goal: goal, limit: wait).perform(session)
        }
    }
}

struct WaitCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "wait",
        abstract: "Wait until the backends of a service, or one of them, are drained or healthy.",
        discussion: """
            drained: no backend in state drain or maintenance has a session. healthy: every backend in state ready is up, and \
            one that is checked has passed its last check. Exit code 75 where it has not come about in time.
            """
    )

    @Argument(help: "SERVICE or SERVICE/BACKEND.", completion: PathCompletion.kind)
    var path: String

    @Argument(
        help: ArgumentHelp("What to wait for: drained or healthy; `until` may stand before it.", valueName: "goal"),
        completion: .list(WaitGoal.allCases.map(\.rawValue))
    )
    var words: [String]

    @OptionGroup var connection: ConnectionOptions

    /// `until drained 5m`, with or without the first and the last.
    static func read(_ words: [String]) throws -> (goal: WaitGoal, limit: WrittenDuration) {
        let words = words.first == "until" ? words.dropFirst() : words[...]
        guard let text = words.first, let goal = WaitGoal(rawValue: text) else {
            throw ValidationError(
                "\(Quoted(words.first ?? "")) is nothing to wait for; write drained or healthy after the service"
            )
        }
        guard words.count <= 2 else {
            throw ValidationError(
                "\(Quoted(words.last ?? "")) is one word too many; write SERVICE drained|healthy [TIME]")
        }
        let written = words.count == 2 ? words.last ?? "" : "60s"
        guard let limit = WrittenDuration(argument: written) else {
            throw ValidationError("the time is \(Quoted(written)); it must be \(WrittenDuration.form)")
        }
        return (goal, limit)
    }

    func validate() throws {
        _ = try ClientPath.read(path, mayBeConfiguration: false)
        _ = try WaitCommand.read(words)
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        let path = try ClientPath.validated(path)
        guard let (goal, limit) = try? WaitCommand.read(words) else {
            throw ClientFailure(.usage, "write SERVICE drained|healthy [TIME]")
        }
        try ClientWait(path: path, goal: goal, limit: limit).perform(session)
    }
}
