// Owns reading the conditions that a request makes (RFC 9110, 13), and answering a read whose condition does not hold.
// Leaves to others: whether they hold for a change (ChangeCondition), in the order of changes.

import Hummingbird
import ShuttleEngine

extension ChangeCondition {
    /// The conditions of a request; throws where one cannot be understood, since passing over it would change what was not
    /// to be changed.
    init(_ fields: HTTPFields) throws(ProblemDetails) {
        self.init(
            match: try ChangeCondition.tags(fields, .ifMatch, isWeakKnown: false),
            noneMatch: try ChangeCondition.tags(fields, .ifNoneMatch, isWeakKnown: true)
        )
    }

    /// `isWeakKnown`: whether a weak tag stands for the version it names. There are no weak ones here, but what lies between
    /// may have made ours weak; for `If-Match` such a one never holds.
    private static func tags(
        _ fields: HTTPFields, _ name: HTTPFields.Element.Name, isWeakKnown: Bool
    ) throws(ProblemDetails) -> Tags? {
        let values = fields[values: name]
        guard !values.isEmpty else {
            return nil
        }
        let text = values.joined(separator: ",")
        if trimmed(text[...]) == "*" {
            return .any
        }
        var rest = text[...]
        var tags: [VersionTag] = []
        while true {
            rest = trimmed(rest)
            if rest.first == "," {
                rest = rest.dropFirst()
                continue
            }
            if rest.isEmpty {
                break
            }
            let isWeak = rest.hasPrefix("W/")
            rest = isWeak ? rest.dropFirst(2) : rest
            guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\"") else {
                throw malformed(name, text)
            }
            let tag = rest[rest.index(after: rest.startIndex)..<end]
            rest = trimmed(rest[rest.index(after: end)...])
            guard rest.isEmpty || rest.first == "," else {
                throw malformed(name, text)
            }
            if !isWeak || isWeakKnown {
                tags.append(VersionTag(text: String(tag)))
            }
        }
        return .listed(tags)
    }

    private static func malformed(_ name: HTTPFields.Element.Name, _ text: String) -> ProblemDetails {
        ProblemDetails(
            .malformedRequest,
            "\(name.rawName) is \(Quoted(text)); it must be * or a list of entity tags in double quotes, as in "
                + "\(name.rawName): \"3w5e11264sgsf-7\" (the ETag of an answer, quotes included). Nothing was changed"
        )
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}

extension VersionTag {
    /// As it stands in a header.
    var entityTag: String { "\"\(text)\"" }

    /// The header of an answer about a part at this version.
    var headers: HTTPFields { [.eTag: entityTag] }
}

extension AdminRequest {
    /// Answers a read of a part of the configuration, unless a condition of the request speaks against that: with 304 where
    /// the client has this version, with 412 where it wants another one.
    func read(_ tag: VersionTag?, _ body: () async -> Response) async throws -> Response {
        let condition = try ChangeCondition(head.headerFields)
        switch condition.failure(tag) {
        case nil: return await body()
        case .present(let tag)?: return Response(status: .notModified, headers: tag.headers)
        case let failure?: throw ProblemDetails(failure)
        }
    }
}
