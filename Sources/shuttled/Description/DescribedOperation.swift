// Owns what the description of the API says of one request: what it takes and what it is answered with.
// Leaves to others: which requests there are (DescribedPaths), the schemas.

/// A request that is served, as it is described.
struct DescribedOperation: Sendable {
    /// A body, or an example of one.
    struct Body: Sendable {
        /// Name of its schema.
        var schema: String
        var types: [String]
        /// Each of which can be sent as it is.
        var examples: KeyValuePairs<String, JSONNode>
    }

    struct Answer: Sendable {
        var status: Int
        var description: String
        /// Nil of one without a body.
        var content: (type: String, schema: JSONNode)?
        /// In which it may come as well.
        var furtherTypes: [String] = []
        /// Names of components.
        var headers: [String] = []
    }

    var method: String
    var id: String
    var tag: String
    var summary: String
    var description: String?
    /// Names of components.
    var parameters: [String] = []
    var body: Body?
    var answers: [Answer]
    /// Statuses of problems; 400 and 403, and 401 where a token is asked for, are possible everywhere.
    var problems: [Int] = []
    /// Whether it is served without a token.
    var isOpen = false

    var node: JSONNode {
        var members: [(String, JSONNode)] = [
            ("operationId", .text(id)), ("tags", [.text(tag)]), ("summary", .text(summary)),
        ]
        if let description {
            members.append(("description", .text(description)))
        }
        if !parameters.isEmpty {
            members.append(
                ("parameters", .list(parameters.map { ["$ref": "#/components/parameters/\($0)"] }))
            )
        }
        if let body {
            let examples = body.examples.map { name, value -> (String, JSONNode) in (name, ["value": value]) }
            let content: JSONNode = [
                "schema": ConfigurationSchemas.reference(body.schema), "examples": .object(examples),
            ]
            let media = body.types.map { ($0, content) }
            members.append(("requestBody", ["required": true, "content": .object(media)]))
        }
        let responses = answers.map { answer -> (String, JSONNode) in
            ("\(answer.status)", DescribedOperation.response(answer))
        }
        if isOpen {
            members.append(("security", []))
        }
        let refusals = (Set(problems).union(isOpen ? [400, 403] : [400, 401, 403]).sorted()).map {
            status -> (String, JSONNode) in
            ("\(status)", ["$ref": "#/components/responses/Problem"])
        }
        let rest: [(String, JSONNode)] = [("default", ["$ref": "#/components/responses/Problem"])]
        members.append(("responses", .object(responses + refusals + rest)))
        return .object(members)
    }

    private static func response(_ answer: Answer) -> JSONNode {
        var members: [(String, JSONNode)] = [("description", .text(answer.description))]
        if !answer.headers.isEmpty {
            let headers = answer.headers.map { name -> (String, JSONNode) in
                (name, ["$ref": "#/components/headers/\(name)"])
            }
            members.append(("headers", .object(headers)))
        }
        if let content = answer.content {
            let media = ([content.type] + answer.furtherTypes).map { type -> (String, JSONNode) in
                (type, ["schema": content.schema])
            }
            members.append(("content", .object(media)))
        }
        return .object(members)
    }
}
