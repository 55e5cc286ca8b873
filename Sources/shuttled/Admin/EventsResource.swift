// Owns `/v1/events`: what a client asks to be told, from where on, and whether there is room for it.
// Leaves to others: the stream (EventStream).

import Hummingbird
import Logging
import NIOCore
import ShuttleEngine

struct EventsResource: Sendable {
    let control: any AdminControl
    let places: LongAnswerPlaces

    func get(_ request: AdminRequest, _ attend: AdminResponder.Attend, _ logger: Logger) throws -> Response {
        let parameters = try QueryParameters(request.parameters, known: ["types", "last_event_id", "follow"])
        let kinds = try kinds(parameters["types"])
        let position = try position(request.head.headerFields, parameters)
        let isFollowing = try isFollowing(parameters["follow"])
        guard request.head.method == .get else {
            return response(ResponseBody())
        }
        let place = try places.takeForStream()
        let presence = ClientPresence()
        // Before the header goes out, which says that the connection ends with this answer.
        attend(presence, .stream)
        let stream = EventStream(
            log: control.events, loop: control.loop, kinds: kinds, position: position, isFollowing: isFollowing,
            keepAlive: request.limits.eventKeepAlive, presence: presence, peer: request.peer, logger: logger
        )
        return response(
            ResponseBody { writer in
                defer { withExtendedLifetime(place) {} }
                try await stream.write(to: &writer)
                try await writer.finish(nil)
            }
        )
    }

    private func response(_ body: ResponseBody) -> Response {
        var response = Response.admin(.ok, contentType: "text/event-stream", body: [])
        response.body = body
        response.headers[.contentLength] = nil
        // nginx would collect them.
        response.headers[HTTPFields.Element.Name("X-Accel-Buffering")!] = "no"
        return response
    }

    private func isFollowing(_ text: String?) throws(ProblemDetails) -> Bool {
        switch text {
        case nil, "1": return true
        case "0": return false
        case let text?:
            throw ProblemDetails(
                .invalidParameter,
                "follow is \(Quoted(text)); it must be 1 (go on with events that come) or 0 (end with the last that is kept)"
            )
        }
    }

    private func kinds(_ text: String?) throws(ProblemDetails) -> Set<EventKind> {
        guard let text else {
            return Set(EventKind.allCases)
        }
        var kinds: Set<EventKind> = []
        for name in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let kind = EventKind(rawValue: String(name)) else {
                let all = EventKind.allCases.map(\.rawValue).joined(separator: ", ")
                throw ProblemDetails(
                    .invalidParameter,
                    "types has \(Quoted(name)), which is no type of event; give some of these with commas between them: \(all)"
                )
            }
            kinds.insert(kind)
        }
        return kinds
    }

    /// Browsers send the header when they come again, with the URL that they began with: it holds.
    private func position(
        _ fields: HTTPFields, _ parameters: QueryParameters
    ) throws(ProblemDetails) -> EventLog.Position {
        let name = HTTPFields.Element.Name("Last-Event-ID")!
        let (source, text) =
            fields[name].map { (name.rawName, $0) } ?? ("last_event_id", parameters["last_event_id"] ?? "")
        if text.isEmpty {
            return control.events.end
        }
        if text == "0" {
            return control.events.begin
        }
        guard let position = control.events.position(after: text) else {
            throw ProblemDetails(
                .invalidParameter,
                "\(source) is \(Quoted(text)), which is no id of an event; give one as it came in a stream, 0 for all that "
                    + "are kept, or none for those to come"
            )
        }
        return position
    }
}
