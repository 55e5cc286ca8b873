// Owns the description of asking what would become of a client, and of log levels.
// Leaves to others: the whole (APIDescription), forms of requests (DescribedOperation).

import ShuttleEngine

enum ExplanationDescription {
    // MARK: Schemas

    private static let levels: [JSONNode] = ["trace", "debug", "info", "notice", "warning", "error"]
    private static let level: JSONNode = ["type": "string", "enum": .list(levels)]
    private static let levelOrNull: JSONNode = ["anyOf": [level, ["type": "null"]]]
    private static let parts = ["admin", "control", "engine", "health", "names", "process"]

    static let components: [(String, JSONNode)] = [
        ("Explanation", explanation),
        (
            "LogLevels",
            [
                "type": "object", "description": "From which level on each part of the program is logged.",
                "properties": .object(parts.map { ($0, level) }), "required": .texts(parts),
            ]
        ),
        (
            "LogLevelsPatch",
            [
                "type": "object", "description": "null is the level of the start.",
                "properties": .object(parts.map { ($0, levelOrNull) }), "additionalProperties": false,
            ]
        ),
    ]

    private static let explanation = AnswerSchemas.object(
        [
            "service": AnswerSchemas.text, "client": AnswerSchemas.text,
            "outcome": ["type": "string", "enum": .texts(ExplainedOutcome.allCases.map(\.rawValue))],
            "detail": AnswerSchemas.noted(AnswerSchemas.text, "The outcome in words."),
            "certain": AnswerSchemas.noted(
                AnswerSchemas.flag, "False where chance, or another client that comes before, may change it."),
            "backend": AnswerSchemas.noted(["type": ["string", "null"]], "The one that is chosen."),
            "balance": AnswerSchemas.text, "active": AnswerSchemas.count, "queued": AnswerSchemas.count,
            "backends": AnswerSchemas.list(
                of: AnswerSchemas.object(
                    [
                        "name": AnswerSchemas.text, "address": AnswerSchemas.text,
                        "verdict": AnswerSchemas.noted(AnswerSchemas.text, "Why it is chosen or not, for programs."),
                        "detail": AnswerSchemas.noted(AnswerSchemas.text, "The same for people."),
                    ],
                    optional: [
                        "active": AnswerSchemas.count, "weight": AnswerSchemas.count,
                        "effective_weight": AnswerSchemas.noted(
                            AnswerSchemas.count, "What is chosen by, while backends ramp."),
                        "slow_start_percent": AnswerSchemas.count,
                        "probability": AnswerSchemas.noted(
                            ["type": "number", "minimum": 0, "maximum": 1], "Where it is drawn."),
                    ]
                )
            ),
        ],
        optional: [
            "route": AnswerSchemas.noted(AnswerSchemas.count, "The route that is taken, by its place in routes."),
            "pool": AnswerSchemas.noted(AnswerSchemas.text, "The service that the route leads to."),
            "probabilities": ["type": "string", "enum": ["exact", "estimated"]],
        ]
    )

    // MARK: Parameters

    static let parameters: [(String, JSONNode)] = [
        (
            "ExplainedClient",
            [
                "name": "client", "in": "query", "required": true,
                "description": "The address that it comes from, or that its PROXY header would tell; or unix.",
                "schema": ["type": "string"], "example": "192.0.2.1",
            ]
        ),
        (
            "ExplainedPort",
            APIDescription.query(
                "port", ["type": "integer", "minimum": 0, "maximum": 65535],
                "Its port, by which nothing is chosen.", 40000)
        ),
        (
            "ServerNameIndication",
            APIDescription.query("sni", ["type": "string"], "The name that it asks for, for routes.", "www.example")
        ),
        (
            "ApplicationProtocols",
            APIDescription.query("alpn", ["type": "string"], "The protocols that it offers, for routes.", "h2,http/1.1")
        ),
    ]

    // MARK: Requests

    private static func json(_ schema: String) -> (type: String, schema: JSONNode) {
        ("application/json", ConfigurationSchemas.reference(schema))
    }

    private static func answer(_ description: String, _ schema: String) -> DescribedOperation.Answer {
        .init(status: 200, description: description, content: json(schema))
    }

    private static func change(_ method: String, _ id: String, _ summary: String, _ note: String) -> DescribedOperation
    {
        DescribedOperation(
            method: method, id: id, tag: "process", summary: summary, description: note,
            body: .init(
                schema: "LogLevelsPatch",
                types: method == "patch" ? ["application/merge-patch+json", "application/json"] : ["application/json"],
                examples: ["more of checks": ["health": "debug"]]
            ),
            answers: [answer("The levels that are in force now.", "LogLevels")], problems: [413, 415]
        )
    }

    static let paths: [DescribedPath] = [
        DescribedPath(
            template: "/v1/services/{service}/explain", parameters: ["ServiceName"],
            operations: [
                DescribedOperation(
                    method: "get", id: "explainService", tag: "statistics",
                    summary: "Which backend the next connection of a client gets, and why no other",
                    description:
                        "By the choice that is made for sessions, on the state of this moment, without effect on it.",
                    parameters: [
                        "ExplainedClient", "ExplainedPort", "ServerNameIndication", "ApplicationProtocols",
                    ],
                    answers: [answer("As asked.", "Explanation")], problems: [404])
            ]
        ),
        DescribedPath(
            template: "/v1/log-levels",
            operations: [
                DescribedOperation(
                    method: "get", id: "getLogLevels", tag: "process", summary: "What is logged",
                    answers: [answer("As asked.", "LogLevels")]),
                change(
                    "put", "putLogLevels", "Set what is logged",
                    "Until the process ends. Parts that are left out get the level of the start."),
                change(
                    "patch", "patchLogLevels", "Change some of what is logged",
                    "Until the process ends. Parts that are left out keep their level."),
            ]
        ),
    ]
}
