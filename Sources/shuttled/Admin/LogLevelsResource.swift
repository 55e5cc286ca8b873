// Owns `/v1/log-levels`: from which level on each part of the program is logged, now.
// Leaves to others: the levels in force (Logs/LogLevels).

import Hummingbird
import Logging
import ShuttleEngine

struct LogLevelsResource: Sendable {
    let levels: LogLevels

    func get(_ request: AdminRequest) throws -> Response {
        _ = try QueryParameters(request.parameters, known: [])
        return .json(bytes)
    }

    /// `PATCH` leaves the parts that are not named as they are, `PUT` gives them the level of the start.
    func change(_ request: AdminRequest, _ logger: Logger) async throws -> Response {
        _ = try QueryParameters(request.parameters, known: [])
        let document = try await request.document()
        var changes: [LogComponent: Logger.Level?] = [:]
        if request.head.method == .put {
            for component in LogComponent.allCases { changes[component] = .some(nil) }
        }
        for (component, level) in try LogLevelsResource.levels(in: document) {
            changes[component] = level
        }
        levels.set(changes)
        let text = levels.current.sorted { $0.key.rawValue < $1.key.rawValue }
            .map { "\($0.key.rawValue)=\($0.value.rawValue)" }.joined(separator: ",")
        logger.notice("log levels changed", metadata: ["levels": "\(text)", "from": "\(request.peer)"])
        return .json(bytes)
    }

    private static func levels(in document: JSONDocument) throws -> [(LogComponent, Logger.Level?)] {
        guard document.root.kind == .object else {
            throw refusal("the body must be an object of levels by component, such as {\"health\":\"debug\"}", "")
        }
        return try document.root.children.map { member in
            let name = member.name ?? ""
            guard let component = LogComponent(rawValue: name) else {
                throw refusal("\(Quoted(name)) is no component; use \(LogComponent.list)", name)
            }
            if member.kind == .null {
                return (component, nil)
            }
            guard let text = member.string, let level = LogRules.level(text) else {
                throw refusal("\(name) must be one of \(LogRules.levelList), or null for the level of the start", name)
            }
            return (component, level)
        }
    }

    private static func refusal(_ detail: String, _ name: String) -> ProblemDetails {
        let pointer = name.isEmpty ? "" : "/\(name.replacing("~", with: "~0").replacing("/", with: "~1"))"
        return ProblemDetails(
            .invalidParameter, "\(detail). Nothing was changed",
            issues: [ConfigurationIssue(pointer: pointer, detail: detail)]
        )
    }

    private var bytes: [UInt8] {
        let current = levels.current
        var writer = JSONWriter()
        writer.object { writer in
            for component in LogComponent.allCases {
                writer.member(component.rawValue, current[component]?.rawValue ?? "")
            }
        }
        return writer.finish(trailingNewline: true)
    }
}
