// Owns the schemas of services and backends, made of the tables of fields: as they are printed, as they are sent, and as
// patches.
// Leaves to others: what the fields mean (FieldNotes), the other answers (AnswerSchemas).

import ShuttleEngine

/// JSON Schema (2020-12) of configuration objects.
enum ConfigurationSchemas {
    /// What a schema describes.
    enum Use: Equatable {
        /// What is answered.
        case printed
        /// What is sent; `isNamed` where the path says the name.
        case sent(isNamed: Bool)
        /// A merge patch: everything may be missing, and null takes away.
        case patch
    }

    static let components: [(String, JSONNode)] = [
        ("Configuration", list("Service", countMax: ConfigurationRanges.services.upperBound)),
        ("Service", schema(of: ServiceConfiguration.self, .printed)),
        ("Backend", schema(of: BackendConfiguration.self, .printed)),
        (
            "NewConfiguration",
            [
                "description": "A list of services, or an object that has one.",
                "oneOf": [
                    list("NewService", countMax: ConfigurationRanges.services.upperBound),
                    [
                        "type": "object",
                        "properties": [
                            "services": list("NewService", countMax: ConfigurationRanges.services.upperBound)
                        ],
                        "required": ["services"], "additionalProperties": false,
                    ],
                ],
            ]
        ),
        ("NewService", schema(of: ServiceConfiguration.self, .sent(isNamed: false))),
        ("NamedService", schema(of: ServiceConfiguration.self, .sent(isNamed: true))),
        ("NewBackend", schema(of: BackendConfiguration.self, .sent(isNamed: false))),
        ("NamedBackend", schema(of: BackendConfiguration.self, .sent(isNamed: true))),
        ("ServicePatch", schema(of: ServiceConfiguration.self, .patch)),
        ("BackendPatch", schema(of: BackendConfiguration.self, .patch)),
        (
            "PassedOver",
            ["description": "A field of the statistics, which is known and passed over, so that they can be sent back."]
        ),
        ("ServiceName", name(reserved: ConfigurationNames.reservedForRoutes)),
        ("BackendName", name(reserved: [])),
    ]

    static func reference(_ name: String) -> JSONNode { ["$ref": "#/components/schemas/\(name)"] }

    private static func list(_ name: String, countMax: Int) -> JSONNode {
        ["type": "array", "items": reference(name), "maxItems": .number(countMax)]
    }

    private static func name(reserved: Set<String>) -> JSONNode {
        let length = ConfigurationRanges.nameLength
        return [
            "type": "string", "minLength": .number(length.lowerBound), "maxLength": .number(length.upperBound),
            "pattern": "^[A-Za-z0-9_.:-]+$", "not": ["enum": .texts([".", ".."] + reserved.sorted())],
        ]
    }

    // MARK: Objects

    private static func schema<Object: NotedObject & StatisticsObject>(of _: Object.Type, _ use: Use) -> JSONNode {
        object(Object.self, use, further: use == .printed ? [] : Object.statisticsNames.sorted())
    }

    private static func object<Object: NotedObject>(_: Object.Type, _ use: Use, further: [String] = []) -> JSONNode {
        var properties: [(String, JSONNode)] = []
        var required: [String] = []
        for field in Object.fields {
            properties.append((field.name, value(of: field, use)))
            if isRequired(field, use) {
                required.append(field.name)
            }
        }
        properties += further.map { ($0, reference("PassedOver")) }
        var members: [(String, JSONNode)] = [("type", "object"), ("properties", .object(properties))]
        if !required.isEmpty {
            members.append(("required", .texts(required)))
        }
        // Who reads answers must expect further fields; what is sent with an unknown one is refused.
        if use != .printed {
            members.append(("additionalProperties", false))
        }
        return .object(members)
    }

    private static func isRequired<Object: NotedObject>(_ field: ConfigurationField<Object>, _ use: Use) -> Bool {
        switch use {
        case .printed: field.presence != .whereNotDefault
        case .sent(let isNamed): field.isRequired && !(isNamed && field.name == "name")
        case .patch: false
        }
    }

    // MARK: Fields

    private static func value<Object: NotedObject>(of field: ConfigurationField<Object>, _ use: Use) -> JSONNode {
        var schema = bare(field, use)
        // Part of the object that the path names: it cannot be taken away.
        if use == .patch {
            schema = ["anyOf": [schema, ["type": "null"]]]
        }
        schema = schema.adding(["description": .text(Object.notes[field.name] ?? "")])
        if let defaultValue = defaultValue(of: field), use != .patch {
            schema = schema.adding(["default": defaultValue])
        }
        return schema
    }

    private static func bare<Object: NotedObject>(_ field: ConfigurationField<Object>, _ use: Use) -> JSONNode {
        switch field.kind {
        case .name:
            return reference(Object.objectName == ServiceConfiguration.objectName ? "ServiceName" : "BackendName")
        case .address, .text:
            return ["type": "string"]
        case .integer(_, let range), .milliseconds(_, let range):
            return ["type": "integer", "minimum": .number(range.lowerBound), "maximum": .number(range.upperBound)]
        case .boolean:
            return ["type": "boolean"]
        case .word(let access):
            return ["type": "string", "enum": .texts(access.words)]
        case .texts(_, let rule):
            let list: JSONNode = ["type": "array", "items": ["type": "string"], "maxItems": .number(rule.countMax)]
            return rule.mayBeOneString ? ["anyOf": [["type": "string"], list]] : list
        case .nested(let access):
            return nested(access, use)
        case .objects(let access):
            return nestedList(access, use)
        case .backends:
            return backends(use)
        }
    }

    private static func nested<Access: NestedAccess>(_: Access, _ use: Use) -> JSONNode {
        guard let type = Access.Value.self as? any NotedObject.Type else {
            preconditionFailure("an object without notes")
        }
        return opened(type, use)
    }

    /// A list is replaced as a whole: a patch has it as it would be sent.
    private static func nestedList<Access: ListAccess>(_ access: Access, _ use: Use) -> JSONNode {
        guard let type = Access.Value.self as? any NotedObject.Type else {
            preconditionFailure("an object without notes")
        }
        return [
            "type": "array", "maxItems": .number(access.countMax),
            "items": opened(type, use == .patch ? .sent(isNamed: false) : use),
        ]
    }

    private static func opened<Object: NotedObject>(_: Object.Type, _ use: Use) -> JSONNode {
        object(Object.self, use)
    }

    private static func backends(_ use: Use) -> JSONNode {
        let countMax = ConfigurationRanges.backendsPerService.upperBound
        guard use == .patch else {
            return list(use == .printed ? "Backend" : "NewBackend", countMax: countMax)
        }
        return [
            "anyOf": [
                list("NewBackend", countMax: countMax),
                [
                    "type": "object", "description": "By name: a patch, a new backend, or null to remove it.",
                    "propertyNames": reference("BackendName"),
                    "additionalProperties": ["anyOf": [reference("BackendPatch"), ["type": "null"]]],
                ],
            ]
        ]
    }

    private static func defaultValue<Object: NotedObject>(of field: ConfigurationField<Object>) -> JSONNode? {
        guard !field.isRequired else {
            return nil
        }
        let blank = Object.blank
        switch field.kind {
        case .integer(let path, _), .milliseconds(let path, _): return .number(blank[keyPath: path])
        case .boolean(let path): return .boolean(blank[keyPath: path])
        case .word(let access):
            let word = access.word(blank)
            return word.isEmpty ? nil : .text(word)
        case .address(let path, _), .text(let path, _):
            let text = blank[keyPath: path]
            return text.isEmpty ? nil : .text(text)
        default: return nil
        }
    }
}
