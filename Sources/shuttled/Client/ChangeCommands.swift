// Owns the commands that change something: put, patch, set, delete, restore, confirm.
// Leaves to others: carrying a change out and telling of it (ClientChange).

import ArgumentParser
import NIOHTTP1

struct PutCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Create or replace a service, a backend, or with config everything at once."
    )

    @Argument(help: ClientPath.help, completion: PathCompletion.kind)
    var path: String

    @Argument(help: ArgumentHelp("A file with JSON, or - for standard input.", valueName: "file"), completion: .file())
    var file: String

    @Flag(name: .dashes("create-only"), help: "Only where there is none yet.")
    var createOnly = false

    @OptionGroup var change: ChangeOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        let path = try ClientPath.read(path)
        if createOnly, change.ifMatch != nil {
            throw ValidationError("-create-only and -if-match exclude each other; give one of them")
        }
        if createOnly, path == .configuration {
            throw ValidationError("-create-only is for services and backends: there is always a configuration")
        }
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        let path = try ClientPath.validated(path)
        var request = ClientRequest(.PUT, path.target)
        request.body = try ClientBody.read(file)
        request.headers = [("Content-Type", "application/json")]
        if createOnly {
            request.headers.append(("If-None-Match", "*"))
        }
        try ClientChange(request: request, done: "put \(path.text)", options: change).perform(session)
    }
}

struct PatchCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "patch",
        abstract: "Change some fields of a service or a backend by a JSON merge patch (RFC 7396)."
    )

    @Argument(help: "SERVICE or SERVICE/BACKEND.", completion: PathCompletion.kind)
    var path: String

    @Argument(
        help: ArgumentHelp("JSON that begins with {, a file with it, or - for standard input.", valueName: "patch"),
        completion: .file()
    )
    var patch: String

    @OptionGroup var change: ChangeOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        _ = try ClientPath.read(path, mayBeConfiguration: false)
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        let isText = patch.first { !$0.isWhitespace } == "{"
        let body = isText ? Array(patch.utf8) : try ClientBody.read(patch)
        let path = try ClientPath.validated(path)
        try ClientChange.patch(path, body, done: "patched \(path.text)", options: change).perform(session)
    }
}

struct SetCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change some fields of a service or a backend.",
        discussion: """
            A value is taken as JSON where it is some (numbers, true, false, null for the default, lists, objects, "texts"), \
            else as text. A dot leads into an object: check.type=http check.path=/health.
            """
    )

    @Argument(help: "SERVICE or SERVICE/BACKEND.", completion: PathCompletion.kind)
    var path: String

    @Argument(help: ArgumentHelp("Such as weight=5, balance=LC, check.status='\"200\"'.", valueName: "field=value"))
    var fields: [String]

    @OptionGroup var change: ChangeOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        _ = try ClientPath.read(path, mayBeConfiguration: false)
        do throws(MergePatch.ParsingError) {
            _ = try MergePatch(fields)
        } catch {
            throw ValidationError(error.description)
        }
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        let path = try ClientPath.validated(path)
        let patch: MergePatch
        do throws(MergePatch.ParsingError) {
            patch = try MergePatch(fields)
        } catch {
            throw ClientFailure(.usage, error.description)
        }
        try ClientChange.patch(path, patch.bytes, done: "set \(path.text)", options: change).perform(session)
    }
}

struct DeleteCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Remove a service or a backend; its connections run on until they close."
    )

    @Argument(help: "SERVICE or SERVICE/BACKEND.", completion: PathCompletion.kind)
    var path: String

    @OptionGroup var change: ChangeOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        _ = try ClientPath.read(path, mayBeConfiguration: false)
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        let path = try ClientPath.validated(path)
        try ClientChange(request: ClientRequest(.DELETE, path.target), done: "deleted \(path.text)", options: change)
            .perform(session)
    }
}

struct RestoreCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Make the whole configuration what it was after a change; to undo change 8, restore 7."
    )

    @Argument(help: ArgumentHelp("The number of the change, as `ctl history` prints it.", valueName: "id"))
    var id: String

    @OptionGroup var change: ChangeOptions
    @OptionGroup var connection: ConnectionOptions

    func perform(_ session: ClientSession) throws(ClientFailure) {
        let request = ClientRequest(.POST, "/v1/history/\(ClientPath.encoded(id))/restore")
        try ClientChange(request: request, done: "restored what was after change \(id)", options: change)
            .perform(session)
    }
}

struct ConfirmCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "confirm",
        abstract: "Keep a change that was made with -confirm and would be taken back otherwise."
    )

    @Argument(help: ArgumentHelp("What the change gave to confirm it by.", valueName: "id"))
    var id: String

    @OptionGroup var connection: ConnectionOptions

    func perform(_ session: ClientSession) throws(ClientFailure) {
        try decide(.POST, id, done: "confirmed", session)
    }
}

struct RevertCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "revert",
        abstract: "Take a change back now that was made with -confirm and waits."
    )

    @Argument(help: ArgumentHelp("What the change gave to confirm it by.", valueName: "id"))
    var id: String

    @OptionGroup var connection: ConnectionOptions

    func perform(_ session: ClientSession) throws(ClientFailure) {
        try decide(.DELETE, id, done: "reverted", session)
    }
}

extension ClientCommand {
    /// Ends the waiting of a change, and says so.
    fileprivate func decide(
        _ method: HTTPMethod, _ id: String, done: String, _ session: ClientSession
    ) throws(ClientFailure) {
        var request = ClientRequest(method, "/v1/confirm/\(ClientPath.encoded(id))")
        request.headers = [("Prefer", "return=minimal")]
        _ = try session.client.success(of: request)
        switch session.format {
        case .table: try session.output.line("\(done) \(Printable.line(id))")
        case .json:
            var writer = JSONWriter()
            writer.object { $0.member("done", "\(done) \(id)") }
            try session.output.write(writer.finish(trailingNewline: true))
        }
    }
}
