// Owns `ctl events`: what has happened, and with -follow what happens, also across an end and a start of the server.
// Leaves to others: taking the stream apart (ServerSentEvents).

import ArgumentParser
import Glibc
import NIOConcurrencyHelpers

struct EventsCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Print the latest events, or with -follow those that come, one line each, until Ctrl-C.",
        discussion: """
            Without -after it prints all that are kept (the last 1024), and -follow begins with those to come. -follow comes \
            again when the connection breaks, behind the last event that it has printed.
            """
    )

    /// What the stream itself asks for between two tries.
    static let pauseSeconds: UInt32 = 2

    @Option(
        name: .dashes("after"),
        help: ArgumentHelp("Only those behind this one; 0 is before the oldest that is kept.", valueName: "id")
    )
    var after: String?

    @Flag(name: .dashes("follow"), help: "Go on with those that come.")
    var follow = false

    @Option(
        name: .dashes("types"),
        help: ArgumentHelp("Only these, with commas between them: change,backend-down.", valueName: "types")
    )
    var types: String?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if after?.isEmpty == true {
            throw ValidationError("-after is empty; give the id of an event, or 0 for all that are kept")
        }
    }

    /// The question for what comes behind an event.
    func request(behind id: String?) -> ClientRequest {
        var query: [String] = []
        if let types {
            query.append(
                "types=\(types.split(separator: ",", omittingEmptySubsequences: false).map { ClientPath.encoded(String($0)) }.joined(separator: ","))"
            )
        }
        if let id {
            query.append("last_event_id=\(ClientPath.encoded(id))")
        }
        if !follow {
            query.append("follow=0")
        }
        return ClientRequest(.GET, "/v1/events" + (query.isEmpty ? "" : "?\(query.joined(separator: "&"))"))
    }

    func perform(_ session: ClientSession) throws(ClientFailure) {
        let stream = NIOLockedValueBox(ServerSentEvents(lastID: after ?? (follow ? nil : "0")))
        let format = session.format
        let output = session.output
        // Whether there was a stream once: until then what goes wrong is told, and ends the command.
        let hasBegun = NIOLockedValueBox(false)
        while true {
            do throws(ClientFailure) {
                let answer = try session.client.follow(request(behind: stream.withLockedValue { $0.lastID })) {
                    bytes throws(ClientFailure) in
                    hasBegun.withLockedValue { $0 = true }
                    for event in stream.withLockedValue({ $0.take(bytes) }) {
                        try output.write(format == .json ? event.json() : Array("\(event.line())\n".utf8))
                    }
                }
                if let failure = ClientFailure(answer) {
                    throw failure
                }
                guard follow else {
                    return
                }
                tell("The stream has ended; asking again until shuttled answers.")
            } catch {
                // A stream that is full or a shuttled that starts may take a question again; a refusal stays one.
                let isTransient = error.status == .cannotConnect || error.status == .serverFault
                guard follow, isTransient, hasBegun.withLockedValue({ $0 }) else {
                    throw error
                }
                tell(error.lines.first ?? "")
            }
            // What was cut off in the middle comes again.
            stream.withLockedValue { $0 = ServerSentEvents(lastID: $0.lastID) }
            sleep(EventsCommand.pauseSeconds)
        }
    }

    private func tell(_ text: String) {
        LogSink.standardError.write(Array("shuttled ctl: \(text)\n".utf8))
    }
}
