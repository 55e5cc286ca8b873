// Owns the description of listing and ending connections: parameters, schemas, requests.
// Leaves to others: the whole (APIDescription), forms of requests (DescribedPaths).

import ShuttleEngine

enum ConnectionDescription {
    // MARK: Schemas

    static let components: [(String, JSONNode)] = [
        ("Connection", connection),
        (
            "ConnectionPage",
            AnswerSchemas.object([
                "connections": AnswerSchemas.list(of: ConfigurationSchemas.reference("Connection")),
                "next": AnswerSchemas.noted(
                    nullableText, "Where the list goes on, with the same filters; null at its end."),
            ])
        ),
        ("Disconnect", disconnect),
        (
            "Disconnects",
            AnswerSchemas.object([
                "disconnects": AnswerSchemas.list(of: ConfigurationSchemas.reference("Disconnect"))
            ])
        ),
        ("DisconnectPreview", AnswerSchemas.object(planned)),
    ]

    private static let nullableText: JSONNode = ["type": ["string", "null"]]
    private static let nullableTime: JSONNode = ["type": ["string", "null"], "format": "date-time"]

    private static let connection = AnswerSchemas.object(
        [
            "id": AnswerSchemas.noted(AnswerSchemas.text, "Opaque; given once."),
            "network": ["type": "string", "enum": ["tcp", "udp"]],
            "service": AnswerSchemas.noted(AnswerSchemas.text, "The one whose backend it has, after routes."),
            "backend": AnswerSchemas.noted(nullableText, "Null while it has none."),
            "client": AnswerSchemas.noted(nullableText, "As a PROXY header has told if there was one."),
            "state": ["type": "string", "enum": .texts(SessionState.allCases.map(\.rawValue))],
            "started": AnswerSchemas.time, "age_milliseconds": AnswerSchemas.count,
            "idle_milliseconds": AnswerSchemas.noted(AnswerSchemas.count, "Since bytes last went either way."),
            "sent": AnswerSchemas.noted(AnswerSchemas.count, "Bytes from the client to the backend."),
            "received": AnswerSchemas.noted(AnswerSchemas.count, "Bytes from the backend to the client."),
            "ring": AnswerSchemas.count,
        ],
        optional: [
            "sent_per_second": AnswerSchemas.noted(AnswerSchemas.count, "Bytes, between the two looks."),
            "received_per_second": AnswerSchemas.count,
        ]
    )

    private static let planned: KeyValuePairs<String, JSONNode> = [
        "filter": AnswerSchemas.noted(["type": "object"], "As it was asked for; empty for all."),
        "matched": AnswerSchemas.noted(
            AnswerSchemas.count, "Connections found when it was asked for; others are let alone."),
        "rate": AnswerSchemas.text, "jitter": AnswerSchemas.noted(AnswerSchemas.count, "Percent."),
        "takes_milliseconds": AnswerSchemas.noted(AnswerSchemas.count, "From the first to the last, at that rate."),
    ]

    private static let disconnect: JSONNode = [
        "allOf": [
            ConfigurationSchemas.reference("DisconnectPreview"),
            AnswerSchemas.object([
                "id": AnswerSchemas.count,
                "state": ["type": "string", "enum": ["running", "finished", "cancelled"]],
                "ended": AnswerSchemas.count,
                "gone": AnswerSchemas.noted(AnswerSchemas.count, "Those that had ended by themselves."),
                "remaining": AnswerSchemas.count, "started": AnswerSchemas.time, "finished": nullableTime,
                "peer": AnswerSchemas.text, "token": nullableText,
            ]),
        ]
    ]

    // MARK: Parameters

    private static let duration = "^(0|[0-9]{1,4}ms|[0-9]{1,4}s|[0-9]{1,3}m|[0-9]{1,2}h)$"

    static let parameters: [(String, JSONNode)] = [
        ("ConnectionID", APIDescription.path("id", ["type": "string"], "mi7x2k-0-12-1")),
        ("DisconnectID", APIDescription.path("id", ["type": "integer", "minimum": 1, "maximum": .number(Int.max)], 1)),
        (
            "ConnectionsOfService",
            APIDescription.query(
                "service", ConfigurationSchemas.reference("ServiceName"), "Only of this service.", "web")
        ),
        (
            "ConnectionsOfBackend",
            APIDescription.query(
                "backend", ConfigurationSchemas.reference("BackendName"), "Only of backends of this name.", "one"
            )
        ),
        (
            "ConnectionsOfClient",
            APIDescription.query(
                "client", ["type": "string"], "Only from this address, or this network.", "192.0.2.0/24")
        ),
        (
            "MinAge",
            APIDescription.query(
                "min_age", ["type": "string", "pattern": .text(duration)], "Only those accepted so long ago or longer.",
                "10s")
        ),
        (
            "MinIdle",
            APIDescription.query(
                "min_idle", ["type": "string", "pattern": .text(duration)],
                "Only those without a byte either way for so long or longer.", "5m")
        ),
        (
            "MinBytes",
            APIDescription.query(
                "min_bytes", ["type": "integer", "minimum": 0, "maximum": .number(Int.max)],
                "Only those with so many bytes, both ways together, or more.", 1_000_000)
        ),
        (
            "ConnectionLimit",
            APIDescription.query(
                "limit",
                ["type": "integer", "minimum": 1, "maximum": 1000, "default": 100], "Length of the page.", 10)
        ),
        (
            "AfterConnection",
            APIDescription.query(
                "after", ["type": "string"], "Where the page before ended, from its next.", "0-12")
        ),
        (
            "Interval",
            APIDescription.query(
                "interval", ["type": "string", "pattern": "^(0|[0-9]{1,4}ms|[0-9]s|10s)$"],
                "Between the two looks that rates come from: to 10s, 250ms by default; 0 for no rates.", "1s")
        ),
        (
            "All",
            APIDescription.query(
                "all", ["type": "integer", "enum": [0, 1]], "1: every connection; not with filters.", 1)
        ),
        (
            "DisconnectRate",
            APIDescription.query(
                "rate", ["type": "string", "pattern": "^[1-9][0-9]{0,4}/[smh]$"],
                "How many are ended in a second, minute or hour at most; 100/s by default.", "10/s")
        ),
        (
            "DisconnectJitter",
            APIDescription.query(
                "jitter", ["type": "integer", "minimum": 0, "maximum": 100, "default": 50],
                "Percent of the time of each that its end is put off by chance.", 100)
        ),
        (
            "DryRunOfDisconnect",
            APIDescription.query(
                "dry_run", ["type": "integer", "enum": [0, 1]], "1: say how many match, and end none.", 1)
        ),
    ]

    private static let filters = [
        "ConnectionsOfService", "ConnectionsOfBackend", "ConnectionsOfClient", "MinAge", "MinIdle", "MinBytes",
    ]

    // MARK: Requests

    private static func json(_ schema: String) -> (type: String, schema: JSONNode) {
        ("application/json", ConfigurationSchemas.reference(schema))
    }

    private static func answer(_ status: Int, _ description: String, _ schema: String) -> DescribedOperation.Answer {
        .init(status: status, description: description, content: json(schema))
    }

    static let paths: [DescribedPath] = [
        DescribedPath(
            template: "/v1/connections",
            operations: [
                DescribedOperation(
                    method: "get", id: "getConnections", tag: "statistics",
                    summary: "Connections as they are now, page by page",
                    description:
                        "TCP connections and UDP sessions. Each that lasts while the pages are read is listed once, though "
                        + "others come and go meanwhile.",
                    parameters: filters + ["ConnectionLimit", "AfterConnection", "Interval"],
                    answers: [answer(200, "As asked.", "ConnectionPage")], problems: [404]),
                DescribedOperation(
                    method: "delete", id: "endConnections", tag: "safety", summary: "End connections at a rate",
                    description:
                        "Those that match now are ended one after the other, in the background. Without a filter it is "
                        + "refused, but for all=1.",
                    parameters: filters + ["All", "DisconnectRate", "DisconnectJitter", "DryRunOfDisconnect"],
                    answers: [
                        answer(200, "With dry_run=1: how many match.", "DisconnectPreview"),
                        answer(
                            202, "It has begun; Location says where it can be looked at and cancelled.", "Disconnect"),
                    ], problems: [404, 413, 503]),
            ]
        ),
        DescribedPath(
            template: "/v1/connections/{id}", parameters: ["ConnectionID"],
            operations: [
                DescribedOperation(
                    method: "get", id: "getConnection", tag: "statistics", summary: "One connection",
                    parameters: ["Interval"], answers: [answer(200, "As asked.", "Connection")], problems: [404]),
                DescribedOperation(
                    method: "delete", id: "endConnection", tag: "safety", summary: "End one connection",
                    answers: [answer(200, "It was ended; this is what it was.", "Connection")], problems: [404, 413]),
            ]
        ),
        DescribedPath(
            template: "/v1/disconnects",
            operations: [
                DescribedOperation(
                    method: "get", id: "getDisconnects", tag: "safety",
                    summary: "Jobs that end connections, the newest first",
                    answers: [answer(200, "As asked.", "Disconnects")])
            ]
        ),
        DescribedPath(
            template: "/v1/disconnects/{id}", parameters: ["DisconnectID"],
            operations: [
                DescribedOperation(
                    method: "get", id: "getDisconnect", tag: "safety", summary: "How far a job is",
                    answers: [answer(200, "As asked.", "Disconnect")], problems: [404]),
                DescribedOperation(
                    method: "delete", id: "cancelDisconnect", tag: "safety",
                    summary: "Cancel a job, or forget one that is over",
                    description: "What it has ended stays ended; what it was doing at that moment may not be counted.",
                    answers: [answer(200, "As it was in the end.", "Disconnect")], problems: [404, 413]),
            ]
        ),
    ]
}
