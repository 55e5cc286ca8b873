// Owns carrying out a change, or trying it, and telling what came of it.
// Leaves to others: what is changed (the commands).

import ShuttleEngine

/// What is sent as a body.
enum ClientBody {
    /// The largest that any change may have; the server says more exactly.
    static let sizeMax = 128 * 1024 * 1024

    /// The bytes of a file, or of standard input where it is `-`.
    static func read(_ file: String) throws(ClientFailure) -> [UInt8] {
        let bytes: [UInt8]?
        do throws(FileFailure) {
            bytes =
                try file == "-"
                ? FileReading.standardInput(sizeMax: sizeMax) : FileReading.bytes(of: file, sizeMax: sizeMax)
        } catch {
            throw ClientFailure(.fileFault, error.description)
        }
        guard let bytes else {
            throw ClientFailure(
                .fileFault, "there is no file \(Quoted(file)); name a file with JSON, or - for standard input"
            )
        }
        return bytes
    }
}

/// A change with its conditions.
struct ClientChange: Sendable {
    var request: ClientRequest
    /// What is said of it when it is made.
    var done: String
    var options: ChangeOptions

    static func patch(_ path: ClientPath, _ body: [UInt8], done: String, options: ChangeOptions) -> ClientChange {
        var request = ClientRequest(.PATCH, path.target)
        request.body = body
        request.headers = [("Content-Type", "application/merge-patch+json")]
        return ClientChange(request: request, done: done, options: options)
    }

    /// The request with what the flags ask for.
    var completeRequest: ClientRequest {
        var request = request
        if let tag = options.ifMatchValue {
            request.headers.append(("If-Match", tag))
        }
        if options.dryRun {
            request.target += "?dry_run=1"
        } else {
            // The whole configuration is the answer otherwise, and may be long.
            request.headers.append(("Prefer", "return=minimal"))
        }
        if let confirm = options.confirm {
            request.target += "?confirm=\(confirm.text)"
        }
        return request
    }

    /// Makes the change and prints what came of it. `isSilent`: where the command prints something else in its place.
    func perform(_ session: ClientSession, isSilent: Bool = false) throws(ClientFailure) {
        let answer = try session.client.success(of: completeRequest)
        if options.dryRun {
            return try tell(trial: answer, session)
        }
        guard !isSilent else {
            return
        }
        switch session.format {
        case .table:
            try session.output.line("\(done)\(answer.tag.map { ", version \(Printable.line($0))" } ?? "")")
            if let confirm = options.confirm {
                // A server that did not know of it would have refused the change.
                try session.output.line(
                    answer.confirmID.map {
                        "It is taken back in \(confirm.text), unless: shuttled ctl confirm \(Printable.line($0))"
                    } ?? "It was so before: there is nothing to confirm"
                )
            }
        case .json:
            var writer = JSONWriter()
            writer.object { writer in
                writer.member("done", done)
                if let tag = answer.tag {
                    writer.member("version", tag)
                }
                if let id = answer.confirmID {
                    writer.member("confirm_id", id)
                }
            }
            try session.output.write(writer.finish(trailingNewline: true))
        }
    }

    /// What would change.
    private func tell(trial answer: ClientAnswer, _ session: ClientSession) throws(ClientFailure) {
        guard session.format == .table else {
            return try session.output.write(answer.body)
        }
        // Who does not know of trying must not be taken for having tried.
        guard let root = answer.document?.root, root.member("dry_run")?.bool == true else {
            throw .notShuttled(session.client.address)
        }
        try session.output.diff(root)
        if let count = root.member("effects")?.member("sessions_affected")?.integer, count > 0 {
            try session.output.line("Sessions affected: \(count)")
        }
        for remark in root.member("not_checked")?.children.compactMap(\.string) ?? [] {
            try session.output.line("Not checked: \(Printable.line(remark))")
        }
        try session.output.line("Nothing was changed (-dry-run).")
    }
}
