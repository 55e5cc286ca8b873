// Owns the schemas of what is answered beside configurations: statistics, previews, history, waits, rings, problems.
// Leaves to others: configurations (ConfigurationSchemas), which request is answered with what (DescribedPaths).

import ShuttleEngine

enum AnswerSchemas {
    /// `problemTypes` are the values of a problem's `type`.
    static func components(problemTypes: [String]) -> [(String, JSONNode)] {
        [
            ("Problem", problem(types: problemTypes)), ("ServiceStatistics", serviceStatistics),
            ("BackendStatistics", backendStatistics), ("SessionEnds", sessionEnds),
            ("AllStatistics", list(of: reference("ServiceStatistics"))), ("Preview", preview),
            ("JSONPatch", jsonPatch), ("HistoryPage", historyPage), ("HistoryEntry", historyEntry(isWhole: true)),
            ("PendingChange", pendingChange),
            (
                "PendingChanges",
                object(["pending": ["type": "array", "items": reference("PendingChange"), "maxItems": 1]])
            ),
            ("WaitOutcome", waitOutcome), ("Rings", list(of: ring)), ("Whoami", whoami),
            ("RecentSessions", recentSessions),
        ] + ConnectionDescription.components + ExplanationDescription.components
    }

    // MARK: Parts

    static let text: JSONNode = ["type": "string"]
    static let flag: JSONNode = ["type": "boolean"]
    static let count: JSONNode = ["type": "integer", "minimum": 0]
    static let time: JSONNode = ["type": "string", "format": "date-time"]
    static let texts: JSONNode = ["type": "array", "items": ["type": "string"]]

    private static func reference(_ name: String) -> JSONNode { ConfigurationSchemas.reference(name) }
    static func list(of item: JSONNode) -> JSONNode { ["type": "array", "items": item] }

    /// All of `properties` are there, `optional` may be.
    static func object(
        _ properties: KeyValuePairs<String, JSONNode>, optional: KeyValuePairs<String, JSONNode> = [:]
    ) -> JSONNode {
        [
            "type": "object",
            "properties": .object((properties.map { $0 } + optional.map { $0 }).map { ($0.key, $0.value) }),
            "required": .texts(properties.map(\.key)),
        ]
    }

    static func noted(_ schema: JSONNode, _ note: JSONNode) -> JSONNode { schema.adding(["description": note]) }

    // MARK: Problems

    private static func problem(types: [String]) -> JSONNode {
        object(
            [
                "type": ["type": "string", "enum": .texts(types)], "title": text, "status": count,
                "detail": noted(text, "What is wrong with this request, and what would help."),
            ],
            optional: [
                "errors": list(
                    of: object([
                        "pointer": noted(text, "JSON pointer (RFC 6901) into the body that was sent."), "detail": text,
                    ])
                )
            ]
        )
    }

    // MARK: Statistics

    private static var serviceStatistics: JSONNode {
        let fields = ServiceStatisticsField.allCases.map { field in
            (field.rawValue, field == .ended ? reference("SessionEnds") : count)
        }
        let required = ServiceStatisticsField.allCases.filter { !$0.isOfDatagrams }.map(\.rawValue)
        return [
            "allOf": [
                reference("Service"),
                [
                    "type": "object",
                    "properties": .object(fields + [("backends", list(of: reference("BackendStatistics")))]),
                    "required": .texts(required + ["backends"]),
                ],
            ]
        ]
    }

    private static var backendStatistics: JSONNode {
        var properties: [(String, JSONNode)] = []
        var required: [String] = []
        for field in BackendStatisticsField.allCases {
            let schema: JSONNode
            switch field {
            case .up, .ejected: schema = flag
            case .ended: schema = reference("SessionEnds")
            case .lastFailure, .checkReason: schema = text
            case .checkStatus: schema = ["type": "string", "enum": ["success", "fail", "inconclusive"]]
            case .checkLast: schema = time
            case .slowStartPercent: schema = ["type": "integer", "minimum": 0, "maximum": 100]
            default: schema = count
            }
            properties.append((field.rawValue, schema))
            switch field {
            // Nothing to say before the first.
            case .lastFailure, .checkStatus, .checkReason, .checkDurationMicroseconds, .checkLast: break
            default: required.append(field.rawValue)
            }
        }
        for field in NameField.allCases {
            properties.append((field.rawValue, field == .targets ? list(of: ["type": "object"]) : text))
        }
        return [
            "allOf": [
                reference("Backend"),
                ["type": "object", "properties": .object(properties), "required": .texts(required)],
            ]
        ]
    }

    private static let sessionEnds = noted(
        object(["idle": count, "half_close": count, "lifetime": count, "drain": count, "operator": count]),
        "Sessions that shuttled itself ended, by the reason."
    )

    private static let ring = object([
        "ring": count, "sessions": count, "turns": noted(count, "Rounds of its loop."),
        "submissions": count, "completions": count, "completion_overflows": count, "starvations": count,
        "accept_pauses": count, "stale_completions": count,
        "spliced_bytes": count, "adoptions": noted(count, "Configurations that it has taken up."),
        "adoption_microseconds_p999": count, "adoption_microseconds_max": count,
        "inspection_turns": noted(count, "Turns in which connections were looked through, to list or to end them."),
        "inspection_microseconds_p999": count,
        "inspection_microseconds_max": noted(count, "The longest that took in one turn."),
        "adoption_durations": noted(
            list(of: object(["nanoseconds_max": count, "count": count])),
            "How many took longer than the one before says, and at most so long."
        ),
    ])

    private static func orNull(_ schema: JSONNode) -> JSONNode { ["anyOf": [schema, ["type": "null"]]] }

    private static let recentSessions = object([
        "remembered_per_ring": count,
        "sessions": list(
            of: object([
                "started": time, "ended": time, "service": text, "backend": orNull(text),
                "backend_address": orNull(text),
                "client": noted(orNull(text), "As a PROXY header has told where one is accepted."),
                "network": ["type": "string", "enum": ["tcp", "udp"]], "ring": count,
                "reason": noted(terminationReason, "Why it ended, and by whose doing."), "retries": count,
                "sent": noted(count, "Bytes to the backend."), "received": noted(count, "Bytes to the client."),
                "duration_microseconds": count, "connect_microseconds": orNull(count),
                "first_byte_microseconds": orNull(count),
                "wait_microseconds": noted(count, "In the queue, or for the rate limit."),
                "client_rtt_microseconds": noted(orNull(count), "Asked of the kernel for what is logged only."),
                "client_retransmits": orNull(count), "backend_rtt_microseconds": orNull(count),
                "backend_retransmits": orNull(count),
            ])
        ),
    ])

    static let terminationReason: JSONNode = [
        "type": "string", "enum": .texts(TerminationReason.allCases.map(\.name)),
    ]

    // MARK: Changes

    private static let jsonPatch: JSONNode = [
        "type": "array", "description": "JSON Patch (RFC 6902) to what GET /config prints.",
        "items": [
            "type": "object",
            "properties": [
                "op": ["type": "string", "enum": ["add", "remove", "replace"]], "path": ["type": "string"],
                "value": [:],
            ],
            "required": ["op", "path"],
        ],
    ]

    private static var preview: JSONNode {
        let listeners = list(of: object(["service": text, "address": text]))
        let affected = list(
            of: object(
                [
                    "service": text, "address": text, "active": noted(count, "Sessions now."),
                    "sessions": noted(text, "What becomes of them."),
                ],
                optional: ["backend": text]
            )
        )
        let effects = object([
            "listeners": object([
                "opened": listeners, "closed": listeners,
                "changed": list(of: object(["address": text, "from": text, "to": text])),
            ]),
            "services": object([
                "added": texts, "removed": affected, "changed": list(of: object(["service": text, "fields": texts])),
                "moved": affected,
            ]),
            "backends": object([
                "added": list(of: object(["service": text, "backend": text, "address": text])), "removed": affected,
                "drained": affected,
                "changed": list(
                    of: object(["service": text, "backend": text, "address": text, "fields": texts])
                ),
            ]),
            "sessions_affected": count,
        ])
        return object([
            "dry_run": flag, "changed": flag, "version": noted(text, "What the patch is against."),
            "diff": noted(texts, "What changes, in lines for people."), "patch": reference("JSONPatch"),
            "effects": effects, "not_checked": noted(texts, "What only making the change would show."),
        ])
    }

    private static func historyEntry(isWhole: Bool) -> JSONNode {
        let optional: KeyValuePairs<String, JSONNode> =
            isWhole
            ? ["target": text]
            : ["target": text, "diff_lines_left_out": noted(count, "Lines that the entry itself has beyond these.")]
        let entry = object(
            [
                "id": ["type": "integer", "minimum": 1], "time": time,
                "source": ["type": "string", "enum": ["startup", "http", "signal", "watch", "confirm-timeout"]],
                "peer": noted(text, "Who asked: an address, or a file."),
                "token": ["anyOf": [["type": "string"], ["type": "null"]], "description": "Its name."],
                "method": text, "version": noted(text, "That it led to."), "diff": texts,
            ],
            optional: optional
        )
        return isWhole ? ["allOf": [entry, object(["patch": reference("JSONPatch")])]] : entry
    }

    private static var historyPage: JSONNode {
        object([
            "entries": list(of: historyEntry(isWhole: false)),
            "next": [
                "anyOf": [["type": "string"], ["type": "null"]],
                "description": "The path of the next page; null on the last.",
            ],
        ])
    }

    private static let pendingChange = object(
        [
            "id": ["type": "integer", "minimum": 1], "time": time, "until": time, "remaining_milliseconds": count,
            "peer": text, "token": ["anyOf": [["type": "string"], ["type": "null"]]], "request": text,
            "services": texts, "diff": texts,
        ],
        optional: ["diff_lines_left_out": count]
    )

    private static let whoami = object([
        "name": [
            "anyOf": [["type": "string"], ["type": "null"]],
            "description": "Of the line of the token file that lets the caller in; null where there is no such file.",
        ],
        "role": noted(
            ["type": "string", "enum": ["read", "operate", "write"]], "What the caller may do; write is everything."),
        "peer": noted(text, "Where the request comes from."),
    ])

    private static let waitOutcome = object([
        "service": text, "until": ["type": "string", "enum": ["drained", "healthy"]], "waited_milliseconds": count,
        "backends": list(
            of: object([
                "name": text, "state": ["type": "string", "enum": ["ready", "drain", "maintenance"]], "up": flag,
                "active": count,
            ])
        ),
    ])
}
