// Owns the description of the admin API by OpenAPI 3.1: what all of its parts have in common, and the whole.
// Leaves to others: the requests (DescribedPaths), the schemas (ConfigurationSchemas, AnswerSchemas), serving it (Admin).

import ShuttleEngine

enum APIDescription {
    /// The document. `problemTypes` and `eventTypes` are those that there are.
    static func bytes(version: String, problemTypes: [String], eventTypes: [String]) -> [UInt8] {
        let document: JSONNode = [
            "openapi": "3.1.0",
            "info": [
                "title": "shuttle", "version": .text(version), "summary": "The admin API of shuttled",
                "description": .text(introduction),
            ],
            "servers": [["url": "/"]],
            // Without a token file nobody needs one.
            "security": [[:], ["token": []]],
            "tags": [
                ["name": "configuration", "description": "Reading and changing it"],
                ["name": "statistics", "description": "What has been done"],
                ["name": "waiting", "description": "For what comes about"],
                ["name": "safety", "description": "What was changed, and undoing it"],
                ["name": "process", "description": "shuttled itself"],
            ],
            "paths": .object(DescribedPaths.all.map { ($0.template, $0.node) }),
            "components": [
                "schemas": .object(
                    ConfigurationSchemas.components + AnswerSchemas.components(problemTypes: problemTypes)
                ),
                "parameters": .object(parameters(eventTypes: eventTypes)), "headers": headers,
                "securitySchemes": [
                    "token": [
                        "type": "http", "scheme": "bearer",
                        "description": .text(tokens),
                    ]
                ],
                "responses": [
                    "Problem": [
                        "description": "Nothing was changed (RFC 9457); detail says why and what would help.",
                        "content": [
                            "application/problem+json": ["schema": ConfigurationSchemas.reference("Problem")]
                        ],
                    ]
                ],
            ],
        ]
        var writer = JSONWriter(capacity: 128 * 1024)
        document.write(to: &writer)
        return writer.finish(trailingNewline: true)
    }

    private static let introduction =
        "Every change is applied whole or not at all, is durable and taken up by every ring before it is answered, and "
        + "costs no connection. Parts of the configuration have versions: ETag, If-Match, If-None-Match. Requests must name "
        + "in Host an address of the admin endpoint or a name that it was told of, and those of pages of other sites are refused (403). HEAD is served "
        + "wherever GET is."

    private static let tokens =
        "Of the file that -token-file names. The role read reaches GET, operate also changes of weight, state and "
        + "maintenance, write everything."

    private static let headers: JSONNode = [
        "ETag": ["description": "Version of the part of the configuration.", "schema": ["type": "string"]],
        "Preference-Applied": ["description": "return=minimal", "schema": ["type": "string"]],
        "Confirm-Id": [
            "description": "With confirm: for /v1/confirm/{id}.", "schema": ["type": "string", "pattern": "^[0-9]+$"],
        ],
        "Confirm-Until": [
            "description": "With confirm: when the change is taken back.",
            "schema": ["type": "string", "format": "date-time"],
        ],
    ]

    // MARK: Parameters

    private static func parameters(eventTypes: [String]) -> [(String, JSONNode)] {
        [
            ("ServiceName", path("service", ConfigurationSchemas.reference("ServiceName"), "web")),
            ("BackendName", path("backend", ConfigurationSchemas.reference("BackendName"), "one")),
            (
                "ChangeID",
                path("id", ["type": "integer", "minimum": 1, "maximum": .number(Int.max)], 1)
            ),
            (
                "DashboardFile",
                path("file", ["type": "string", "pattern": "^[a-z-]+\\.(js|css|svg)$"], "main.js")
            ),
            (
                "DryRun",
                query(
                    "dry_run", ["type": "integer", "enum": [0, 1]], "1: say what would change, and change nothing.", 1
                )
            ),
            (
                "Confirm",
                query(
                    "confirm", ["type": "string", "pattern": "^([1-9][0-9]{0,3}s|[1-9][0-9]{0,2}m|[1-9]h)$"],
                    "Take the change back unless it is confirmed within so long: from 1s to 24h.", "60s")
            ),
            ("IfMatch", header("If-Match", "Only at one of these versions, or * where there is any.", "*")),
            (
                "IfNoneMatch",
                header("If-None-Match", "Only at none of these versions; * creates only.", "\"another\"")
            ),
            (
                "Prefer",
                [
                    "name": "Prefer", "in": "header",
                    "description":
                        "return=minimal: success needs no body (RFC 7240). Other preferences are passed over.",
                    "schema": ["type": "string"],
                    "example": "return=minimal",
                ]
            ),
            (
                "Until",
                [
                    "name": "until", "in": "query", "required": true, "description": "What to wait for.",
                    "schema": ["type": "string", "enum": ["drained", "healthy"]], "example": "healthy",
                ]
            ),
            (
                "Timeout",
                query(
                    "timeout", ["type": "string", "pattern": "^(0|[0-9]{1,3}ms|[0-9]{1,3}s|[0-9]m)$"],
                    "How long to wait: from 0 (only look) to 1h, with ms, s, m or h; 60s by default.", "30s")
            ),
            (
                "OfBackend",
                query(
                    "backend", ConfigurationSchemas.reference("BackendName"), "Only this backend, whatever its state.",
                    "one")
            ),
            (
                "Types",
                [
                    "name": "types", "in": "query", "description": "Only these events.",
                    "style": "form", "explode": false,
                    "schema": [
                        "type": "array", "items": ["type": "string", "enum": .texts(eventTypes)], "minItems": 1,
                    ],
                    "example": ["change", "backend-down"],
                ]
            ),
            (
                "LastEventIDParameter",
                query(
                    "last_event_id", ["type": "string"],
                    "Go on after this event; 0 for all that are kept. Without it, those to come.", "0")
            ),
            ("LastEventID", header("Last-Event-ID", "The same, as browsers send it.", "0")),
            (
                "Follow",
                query(
                    "follow", ["type": "integer", "enum": [0, 1]], "0: end with the last event that is kept.", 1)
            ),
            (
                "Before",
                query(
                    "before", ["type": "integer", "minimum": 1, "maximum": .number(Int.max)],
                    "Only changes before this one.", 100)
            ),
            (
                "Limit",
                query(
                    "limit", ["type": "integer", "minimum": 1, "maximum": 1000, "default": 50], "Length of the page.",
                    10)
            ),
            (
                "OfService",
                query("service", ConfigurationSchemas.reference("ServiceName"), "Only of this service.", "web")
            ),
            (
                "SessionsOfBackend",
                query(
                    "backend", ConfigurationSchemas.reference("BackendName"), "Only of backends of this name.", "one")
            ),
            (
                "Reason",
                [
                    "name": "reason", "in": "query", "description": "Only those that ended for one of these reasons.",
                    "style": "form", "explode": false,
                    "schema": ["type": "array", "items": AnswerSchemas.terminationReason, "minItems": 1],
                    "example": ["backend_reset", "connect_timeout"],
                ]
            ),
            (
                "RecentLimit",
                query(
                    "limit", ["type": "integer", "minimum": 1, "maximum": 10_000, "default": 100],
                    "How many at most.", 10)
            ),
            ("Verbose", query("verbose", ["type": "string"], "Given, with whatever value: every check.", "1")),
        ] + ConnectionDescription.parameters + ExplanationDescription.parameters
    }

    static func path(_ name: JSONNode, _ schema: JSONNode, _ example: JSONNode) -> JSONNode {
        ["name": name, "in": "path", "required": true, "schema": schema, "example": example]
    }

    static func query(
        _ name: JSONNode, _ schema: JSONNode, _ note: JSONNode, _ example: JSONNode
    ) -> JSONNode {
        ["name": name, "in": "query", "description": note, "schema": schema, "example": example]
    }

    private static func header(_ name: JSONNode, _ note: JSONNode, _ example: JSONNode) -> JSONNode {
        ["name": name, "in": "header", "description": note, "schema": ["type": "string"], "example": example]
    }
}
