// Owns which requests are described, path by path. A test holds them against the routes that are served.
// Leaves to others: their form (DescribedOperation), what is common to all (APIDescription).

/// A path with what can be asked there.
struct DescribedPath: Sendable {
    var template: String
    /// Names of components.
    var parameters: [String] = []
    var operations: [DescribedOperation]

    var node: JSONNode {
        var members: [(String, JSONNode)] = []
        if !parameters.isEmpty {
            members.append(
                ("parameters", .list(parameters.map { ["$ref": "#/components/parameters/\($0)"] }))
            )
        }
        return .object(members + operations.map { ($0.method, $0.node) })
    }
}

enum DescribedPaths {
    static let all: [DescribedPath] =
        seed + live + ConnectionDescription.paths + ExplanationDescription.paths + changes + process

    private typealias Operation = DescribedOperation

    // MARK: Forms of requests

    private static func json(_ schema: String) -> (type: String, schema: JSONNode) {
        ("application/json", ConfigurationSchemas.reference(schema))
    }

    private static func get(
        _ id: String, _ tag: String, _ summary: String, _ schema: String, parameters: [String] = [],
        headers: [String] = [], problems: [Int] = [], description: String? = nil
    ) -> Operation {
        Operation(
            method: "get", id: id, tag: tag, summary: summary, description: description, parameters: parameters,
            answers: [.init(status: 200, description: "As asked.", content: json(schema), headers: headers)],
            problems: problems
        )
    }

    /// A part of the configuration, which has versions.
    private static func read(
        _ id: String, _ summary: String, _ schema: String, problems: [Int] = []
    ) -> Operation {
        var operation = get(
            id, "configuration", summary, schema, parameters: ["IfMatch", "IfNoneMatch"], headers: ["ETag"],
            problems: problems + [412]
        )
        operation.answers.append(
            .init(status: 304, description: "If-None-Match names this version.", headers: ["ETag"]))
        return operation
    }

    private static func change(
        _ method: String, _ id: String, _ summary: String, tag: String = "configuration", body: Operation.Body? = nil,
        problems: [Int] = [], description: String? = nil
    ) -> Operation {
        Operation(
            method: method, id: id, tag: tag, summary: summary, description: description,
            parameters: ["DryRun", "Confirm", "IfMatch", "IfNoneMatch", "Prefer"], body: body,
            answers: [
                .init(
                    status: 200,
                    description:
                        "Durable, and taken up by every ring: the whole configuration. With dry_run=1 nothing was "
                        + "changed, and this is what it would come to.",
                    content: (
                        "application/json",
                        [
                            "oneOf": [
                                ConfigurationSchemas.reference("Configuration"),
                                ConfigurationSchemas.reference("Preview"),
                            ]
                        ]
                    ),
                    headers: ["ETag", "Confirm-Id", "Confirm-Until"]
                ),
                .init(
                    status: 204, description: "The same, with Prefer: return=minimal.",
                    headers: ["ETag", "Preference-Applied", "Confirm-Id", "Confirm-Until"]
                ),
            ],
            problems: problems + [409, 412, 413, 500, 503] + (body == nil ? [] : [415])
        )
    }

    /// Ends what waits to be confirmed.
    private static func decision(_ method: String, _ id: String, _ summary: String) -> Operation {
        Operation(
            method: method, id: id, tag: "safety", summary: summary, parameters: ["IfMatch", "IfNoneMatch", "Prefer"],
            answers: [
                .init(
                    status: 200, description: "The whole configuration.", content: json("Configuration"),
                    headers: ["ETag"]
                ),
                .init(
                    status: 204, description: "The same, with Prefer: return=minimal.",
                    headers: ["ETag", "Preference-Applied"]
                ),
            ],
            problems: [404, 409, 412, 413, 500, 503]
        )
    }

    private static func body(
        _ schema: String, isPatch: Bool = false, _ examples: KeyValuePairs<String, JSONNode>
    ) -> Operation.Body {
        Operation.Body(
            schema: schema,
            types: isPatch ? ["application/merge-patch+json", "application/json"] : ["application/json"],
            examples: examples
        )
    }

    // MARK: The root

    private static let twoBackends: JSONNode = [
        ["name": "one", "address": "127.0.0.1:8001", "check_address": "127.0.0.1:8001"],
        ["name": "two", "address": "127.0.0.1:8002", "weight": 2],
    ]

    private static let seed: [DescribedPath] = [
        DescribedPath(
            template: "/",
            operations: [root]
        ),
        DescribedPath(
            template: "/_stats",
            operations: [
                get("getStatisticsToo", "statistics", "The same as /", "AllStatistics", headers: ["ETag"])
            ]
        ),
        configuration("/config", "Configuration"), configuration("/_config", "ConfigurationToo"),
        DescribedPath(
            template: "/{service}", parameters: ["ServiceName"],
            operations: [
                get(
                    "getService", "statistics", "A service with its live statistics", "ServiceStatistics",
                    headers: ["ETag"], problems: [404]),
                change("put", "putService", "Create or replace a service; its port stays open", body: newService),
                change("post", "postService", "The same as PUT", body: newService),
                change(
                    "patch", "patchService", "Change some of a service",
                    body: body(
                        "ServicePatch", isPatch: true,
                        [
                            "limits": ["max_connections": 1000, "queue_limit": 100, "queue_timeout": 2000],
                            "backends by name": [
                                "balance": "LC",
                                "backends": ["one": ["weight": 5], "three": ["address": "127.0.0.1:8003"]],
                            ],
                        ]), problems: [404],
                    description:
                        "JSON Merge Patch (RFC 7396): what is left out stays, null is the default or takes away. "
                        + "backends may be an object by name."),
                change(
                    "delete", "deleteService", "Remove a service; its sessions run on", problems: [404],
                    description: "They are ended over drain_timeout where it is set."),
            ]
        ),
        DescribedPath(
            template: "/{service}/{backend}", parameters: ["ServiceName", "BackendName"],
            operations: [
                get(
                    "getBackend", "statistics", "A backend with its live statistics", "BackendStatistics",
                    headers: ["ETag"], problems: [404]),
                change(
                    "put", "putBackend", "Create or replace a backend", body: newBackend, problems: [404]),
                change("post", "postBackend", "The same as PUT", body: newBackend, problems: [404]),
                change(
                    "patch", "patchBackend", "Change some of a backend",
                    body: body(
                        "BackendPatch", isPatch: true, ["drain": ["state": "drain"], "weight": ["weight": 10]]),
                    problems: [404]),
                change(
                    "delete", "deleteBackend", "Remove a backend; its sessions run on", problems: [404]),
            ]
        ),
    ]

    /// Browsers are sent on.
    private static let root: Operation = {
        var operation = get(
            "getStatistics", "statistics", "Every service with its live statistics", "AllStatistics", headers: ["ETag"])
        operation.answers.append(
            .init(status: 302, description: "To /dashboard, where Accept prefers text/html to application/json."))
        return operation
    }()

    private static let newService = body(
        "NamedService",
        [
            "two backends": ["address": "127.0.0.1:8080", "backends": twoBackends],
            "datagrams": [
                "address": "127.0.0.1:8080", "network": "udp", "udp_idle_timeout": 5000, "backends": twoBackends,
            ],
        ]
    )

    private static let newBackend = body(
        "NamedBackend", ["checked": ["address": "127.0.0.1:8003", "check_address": "127.0.0.1:8003", "weight": 3]]
    )

    private static func configuration(_ template: String, _ id: String) -> DescribedPath {
        DescribedPath(
            template: template,
            operations: [
                read("get\(id)", "The whole configuration; what it prints can be sent back", "Configuration"),
                change(
                    "put", "put\(id)", "Replace everything, all or nothing",
                    body: body(
                        "NewConfiguration",
                        [
                            "one service": [
                                ["name": "web", "address": "127.0.0.1:8080", "backends": twoBackends]
                            ],
                            "nothing": [],
                        ])),
            ]
        )
    }

    // MARK: Watching

    private static let live: [DescribedPath] = [
        DescribedPath(
            template: "/v1/services/{service}", parameters: ["ServiceName"],
            operations: [read("getServiceConfiguration", "A service's configuration", "Service", problems: [404])]
        ),
        DescribedPath(
            template: "/v1/services/{service}/backends/{backend}", parameters: ["ServiceName", "BackendName"],
            operations: [read("getBackendConfiguration", "A backend's configuration", "Backend", problems: [404])]
        ),
        DescribedPath(
            template: "/v1/services/{service}/wait", parameters: ["ServiceName"],
            operations: [
                get(
                    "waitForService", "waiting", "Wait for a service to be drained or healthy", "WaitOutcome",
                    parameters: ["Until", "Timeout", "OfBackend"], problems: [404, 408, 409, 503])
            ]
        ),
        DescribedPath(
            template: "/v1/events",
            operations: [
                Operation(
                    method: "get", id: "getEvents", tag: "waiting", summary: "What happens, as it happens",
                    description:
                        "Server-sent events, each with id, event and data, which is a JSON object. A comment shows "
                        + "after a silence that the stream is there.",
                    parameters: ["Types", "LastEventIDParameter", "LastEventID", "Follow"],
                    answers: [
                        .init(
                            status: 200, description: "A stream that does not end by itself.",
                            content: ("text/event-stream", ["type": "string"]))
                    ],
                    problems: [503])
            ]
        ),
        DescribedPath(
            template: "/v1/whoami",
            operations: [get("getWhoami", "process", "Who asks, and what they may do", "Whoami")]
        ),
        DescribedPath(
            template: "/v1/rings",
            operations: [get("getRings", "statistics", "What each ring has done", "Rings")]
        ),
        DescribedPath(
            template: "/v1/recent",
            operations: [
                get(
                    "getRecentSessions", "statistics", "The sessions that have ended last, newest first",
                    "RecentSessions", parameters: ["OfService", "SessionsOfBackend", "Reason", "RecentLimit"],
                    problems: [404])
            ]
        ),
        DescribedPath(
            template: "/metrics",
            operations: [
                Operation(
                    method: "get", id: "getMetrics", tag: "statistics",
                    summary: "Everything that is counted, for Prometheus",
                    answers: [
                        .init(
                            status: 200, description: "The text exposition format, version 0.0.4.",
                            content: ("text/plain", ["type": "string"]))
                    ])
            ]
        ),
    ]

    // MARK: Changes that were made

    private static let changes: [DescribedPath] = [
        DescribedPath(
            template: "/v1/history",
            operations: [
                get(
                    "getHistory", "safety", "The changes that were made, newest first", "HistoryPage",
                    parameters: ["Before", "Limit"])
            ]
        ),
        DescribedPath(
            template: "/v1/history/{id}", parameters: ["ChangeID"],
            operations: [get("getChange", "safety", "One change", "HistoryEntry", problems: [404])]
        ),
        DescribedPath(
            template: "/v1/history/{id}/restore", parameters: ["ChangeID"],
            operations: [
                change(
                    "post", "restoreChange", "Make the configuration what it was after a change", tag: "safety",
                    problems: [404])
            ]
        ),
        DescribedPath(
            template: "/v1/confirm",
            operations: [
                get("getPendingChanges", "safety", "The change that waits to be confirmed", "PendingChanges")
            ]
        ),
        DescribedPath(
            template: "/v1/confirm/{id}", parameters: ["ChangeID"],
            operations: [
                get(
                    "getPendingChange", "safety", "A change that waits to be confirmed", "PendingChange",
                    problems: [404]),
                decision("post", "confirmChange", "Have a change stay"),
                decision("delete", "revertChange", "Take a change back at once"),
            ]
        ),
    ]

    // MARK: The dashboard

    private static let dashboard: [DescribedPath] = [
        DescribedPath(
            template: "/dashboard",
            operations: [
                file("getDashboard", "The page for people", types: ["text/html"])
            ]
        ),
        DescribedPath(
            template: "/dashboard/{file}", parameters: ["DashboardFile"],
            operations: [
                file(
                    "getDashboardFile", "A part of the dashboard",
                    types: ["text/javascript", "text/css", "image/svg+xml"], problems: [404])
            ]
        ),
    ]

    private static func file(
        _ id: String, _ summary: String, types: [String], problems: [Int] = []
    ) -> Operation {
        Operation(
            method: "get", id: id, tag: "process", summary: summary, parameters: ["IfMatch", "IfNoneMatch"],
            answers: [
                .init(
                    status: 200, description: "The file.", content: (types[0], ["type": "string"]),
                    furtherTypes: Array(types.dropFirst()), headers: ["ETag"]),
                .init(status: 304, description: "If-None-Match names this version.", headers: ["ETag"]),
            ],
            problems: problems + [412], isOpen: true
        )
    }

    // MARK: The process

    private static let process: [DescribedPath] =
        ["livez", "readyz", "healthz"].map { probe in
            DescribedPath(
                template: "/\(probe)",
                operations: [
                    Operation(
                        method: "get", id: "get\(probe.prefix(1).uppercased())\(probe.dropFirst())", tag: "process",
                        summary: probe == "livez"
                            ? "Whether shuttled runs" : "Whether it takes connections and changes",
                        parameters: ["Verbose"],
                        answers: [
                            .init(status: 200, description: "It does.", content: ("text/plain", ["type": "string"])),
                            .init(
                                status: 503, description: "It does not.", content: ("text/plain", ["type": "string"])),
                        ],
                        isOpen: probe == "livez")
                ]
            )
        } + dashboard + [
            DescribedPath(
                template: "/openapi.json",
                operations: [
                    Operation(
                        method: "get", id: "getDescription", tag: "process", summary: "This description",
                        answers: [
                            .init(
                                status: 200, description: "OpenAPI 3.1.",
                                content: ("application/json", ["type": "object"]))
                        ])
                ]
            )
        ]
}
