// Owns reading objects and their fields by the field tables, and collecting what is wrong on the way.
// Leaves to others: the documents they are in (ConfigurationDecoder), the rules beyond types (ConfigurationValidator).

import ShuttleEngine

/// One document being read. Where a value cannot be used, the issue is noted and the default stands in for it.
struct ConfigurationReading {
    let document: JSONDocument
    private(set) var issues: [ConfigurationIssue] = []
    /// Pointers that have an issue: what is there needs no second one.
    private(set) var reported: Set<String> = []

    /// What is read is a merge patch (RFC 7396): what it leaves out stays as it is, `null` stands for the default. Not
    /// within a list, which replaces the whole one: there is nothing that it could be merged into.
    private var isPatch: Bool

    init(document: JSONDocument, isPatch: Bool = false) {
        self.document = document
        self.isPatch = isPatch
    }

    /// Whether enough issues have been collected to stop.
    var isFull: Bool {
        issues.count >= ConfigurationIssue.countMax
    }

    mutating func add(_ issue: ConfigurationIssue) {
        if !isFull, reported.insert(issue.pointer).inserted {
            issues.append(issue)
        }
    }

    /// An issue with a member of the document's root.
    mutating func add(_ member: JSONValue, _ detail: String) {
        add(ConfigurationIssue(pointer: "/" + JSONPointer.escape(member.name ?? ""), detail: detail))
    }

    /// Takes up issues that were found in what has been read.
    mutating func merge(_ issues: [ConfigurationIssue]) {
        for issue in issues {
            add(issue)
        }
    }

    /// Throws the issues, if there are any, in the order of the document.
    func finish() throws(ConfigurationDecodingError) {
        if issues.isEmpty {
            return
        }
        throw ConfigurationDecodingError(issues, in: document, isTruncated: isFull)
    }

    // MARK: Objects

    /// The objects in a list. Where one is no object, a blank one keeps its place.
    mutating func list<Object: StatisticsObject>(
        _ value: JSONValue, at pointer: String, countMax: Int
    ) -> [Object] {
        let count = value.children.reduce(0) { count, _ in count + 1 }
        let tooMany = ConfigurationValidator.countIssue(
            count, of: Object.objectName, max: countMax, pointer: pointer
        )
        if let tooMany {
            add(tooMany)
            return []
        }
        let outside = isPatch
        isPatch = false
        defer { isPatch = outside }
        var objects: [Object] = []
        objects.reserveCapacity(count)
        for (index, element) in value.children.enumerated() where !isFull {
            var object = Object.blank
            self.object(element, at: "\(pointer)/\(index)", into: &object)
            objects.append(object)
        }
        return objects
    }

    /// Reads an object's fields into `object`. `pathName` is the name that the request's path gives it. What statistics
    /// say of it is passed over.
    mutating func object<Object: StatisticsObject>(
        _ value: JSONValue, at pointer: String, into object: inout Object, named pathName: String? = nil
    ) {
        fields(of: value, at: pointer, into: &object, named: pathName, passingOver: Object.statisticsNames)
    }

    /// Merges a patch into an object that there is.
    mutating func merge<Object: StatisticsObject>(
        _ value: JSONValue, at pointer: String, into object: inout Object, named pathName: String
    ) {
        fields(
            of: value, at: pointer, into: &object, named: pathName, passingOver: Object.statisticsNames, isMerged: true
        )
    }

    private mutating func fields<Object: ConfigurationObject>(
        of value: JSONValue,
        at pointer: String,
        into object: inout Object,
        named pathName: String? = nil,
        passingOver ignored: Set<String> = [],
        isMerged: Bool = false
    ) {
        guard value.kind == .object else {
            add(
                ConfigurationIssue(
                    pointer: pointer,
                    detail: "this \(Object.objectName) is \(Self.describe(value)); it must be an object"
                )
            )
            return
        }
        let fields = Object.fields
        var isGiven = Array(repeating: false, count: fields.count)
        for member in value.children where !isFull {
            let name = member.name ?? ""
            if let index = fields.firstIndex(where: { $0.name == name }) {
                isGiven[index] = true
                if let detail = read(member, fields[index], at: pointer, into: &object, named: pathName) {
                    add(ConfigurationIssue(pointer: "\(pointer)/\(name)", detail: detail))
                }
            } else if !ignored.contains(name) {
                add(
                    ConfigurationIssue(
                        pointer: "\(pointer)/\(JSONPointer.escape(name))",
                        detail: Self.unknown(name, in: Object.self)
                    )
                )
            }
        }
        for (index, field) in fields.enumerated() where field.isRequired && !isGiven[index] && !isMerged {
            if case .name = field.kind, pathName != nil {
                continue
            }
            add(
                ConfigurationIssue(
                    pointer: "\(pointer)/\(field.name)",
                    detail: "\"\(field.name)\" is missing; a \(Object.objectName) needs one: \(field.requirement)"
                )
            )
        }
    }

    /// Reads one field's value into `object`. Returns what is wrong with it.
    private mutating func read<Object: ConfigurationObject>(
        _ value: JSONValue,
        _ field: ConfigurationField<Object>,
        at pointer: String,
        into object: inout Object,
        named pathName: String?
    ) -> String? {
        if isPatch, value.kind == .null {
            if field.isRequired {
                return "\"\(field.name)\" is null, and there is no default for it; leave it out to keep what it is, "
                    + "or make it \(field.requirement)"
            }
            field.copy(from: Object.blank, to: &object)
            return nil
        }
        switch field.kind {
        case .name(let path):
            guard let string = value.string else {
                return Self.unusable(value, field)
            }
            if let pathName, pathName != string {
                return "\"\(field.name)\" is \(Quoted(string)), but the path says \(Quoted(pathName)); "
                    + "leave it out, or make both the same"
            }
            object[keyPath: path] = string
        case .address(let path, _), .text(let path, _):
            guard let string = value.string else {
                return Self.unusable(value, field)
            }
            object[keyPath: path] = string
        case .integer(let path, _), .milliseconds(let path, _):
            guard let integer = value.integer else {
                return Self.unusable(value, field)
            }
            object[keyPath: path] = integer
        case .boolean(let path):
            guard let bool = value.bool else {
                return Self.unusable(value, field)
            }
            object[keyPath: path] = bool
        case .word(let access):
            guard let word = value.string, access.choose(&object, word) else {
                return Self.unusable(value, field)
            }
        case .texts(let path, let rule):
            guard value.kind == .list || rule.mayBeOneString && value.kind == .string else {
                return Self.unusable(value, field)
            }
            object[keyPath: path] = texts(value, of: field, rule, at: "\(pointer)/\(field.name)")
        case .nested(let access):
            guard value.kind == .object else {
                return Self.unusable(value, field)
            }
            nested(value, access, at: "\(pointer)/\(field.name)", into: &object)
        case .objects(let access):
            guard value.kind == .list else {
                return Self.unusable(value, field)
            }
            objects(value, access, at: "\(pointer)/\(field.name)", into: &object)
        case .backends(let path):
            if isPatch, value.kind == .object {
                merge(value, at: "\(pointer)/\(field.name)", into: &object[keyPath: path])
                return nil
            }
            guard value.kind == .list else {
                return Self.unusable(value, field)
            }
            object[keyPath: path] = list(
                value,
                at: "\(pointer)/\(field.name)",
                countMax: ConfigurationRanges.backendsPerService.upperBound
            )
        }
        return nil
    }

    private mutating func nested<Access: NestedAccess>(
        _ value: JSONValue, _ access: Access, at pointer: String, into owner: inout Access.Owner
    ) {
        let present = isPatch ? access.value(in: owner) : nil
        var object = present ?? Access.Value.blank
        fields(of: value, at: pointer, into: &object, isMerged: present != nil)
        access.set(object, in: &owner)
    }

    /// Backends by their names: each is merged into the one that there is, created after the others, or removed by
    /// `null`. One that is not there is removed already.
    private mutating func merge(_ value: JSONValue, at pointer: String, into backends: inout [BackendConfiguration]) {
        var places = Dictionary(backends.enumerated().map { ($1.name, $0) }) { first, _ in first }
        var removed: Set<Int> = []
        for member in value.children where !isFull {
            let name = member.name ?? ""
            let pointer = "\(pointer)/\(JSONPointer.escape(name))"
            if member.kind == .null {
                if let place = places.removeValue(forKey: name) {
                    removed.insert(place)
                }
            } else if let place = places[name] {
                merge(member, at: pointer, into: &backends[place], named: name)
            } else {
                var backend = BackendConfiguration.blank
                backend.name = name
                object(member, at: pointer, into: &backend, named: name)
                places[name] = backends.count
                backends.append(backend)
            }
        }
        if !removed.isEmpty {
            backends = backends.enumerated().filter { !removed.contains($0.offset) }.map(\.element)
        }
        let tooMany = ConfigurationValidator.countIssue(
            backends.count, of: BackendConfiguration.objectName,
            max: ConfigurationRanges.backendsPerService.upperBound, pointer: pointer
        )
        if let tooMany {
            add(tooMany)
        }
    }

    private mutating func objects<Access: ListAccess>(
        _ value: JSONValue, _ access: Access, at pointer: String, into owner: inout Access.Owner
    ) {
        let outside = isPatch
        isPatch = false
        defer { isPatch = outside }
        var objects: [Access.Value] = []
        for (index, element) in value.children.enumerated() where !isFull {
            // One that cannot be used keeps its place. More than may be there are found by their number.
            var object = Access.Value.blank
            if index < access.countMax {
                fields(of: element, at: "\(pointer)/\(index)", into: &object)
            }
            objects.append(object)
        }
        access.set(objects, in: &owner)
    }

    /// The strings in a list, or the one that stands for a list of one.
    private mutating func texts<Object>(
        _ value: JSONValue, of field: ConfigurationField<Object>, _ rule: TextListRule, at pointer: String
    ) -> [String] {
        if let string = value.string {
            return [string]
        }
        var texts: [String] = []
        for (index, element) in value.children.enumerated() where !isFull {
            guard let string = element.string else {
                let detail = "\"\(field.name)\" has \(Self.describe(element)); it must be \(rule.element.requirement)"
                add(ConfigurationIssue(pointer: "\(pointer)/\(index)", detail: detail))
                // Keeps its place, so that the pointers of those after it are right.
                texts.append("")
                continue
            }
            texts.append(string)
        }
        return texts
    }

    // MARK: Messages

    /// What was found and what is needed.
    private static func unusable<Object>(_ value: JSONValue, _ field: ConfigurationField<Object>) -> String {
        var remedy = "it must be \(field.requirement)"
        switch (value.kind, field.kind) {
        case (.null, _) where !field.isRequired:
            remedy = "leave it out for the default, or make it \(field.requirement)"
        case (.string, .integer), (.string, .milliseconds):
            if value.string.flatMap({ Int($0) }) != nil {
                remedy += ", without quotes"
            }
        case (.string, .boolean):
            if value.string == "true" || value.string == "false" {
                remedy += ", without quotes"
            }
        default:
            break
        }
        return "\"\(field.name)\" is \(describe(value)); \(remedy)"
    }

    /// A value as messages name it.
    static func describe(_ value: JSONValue) -> String {
        switch value.kind {
        case .null:
            return "null"
        case .bool:
            return value.bool == true ? "true" : "false"
        case .number:
            let text = value.numberText ?? ""
            return text.utf8.count <= 40 ? text : "\(text.prefix(40))… (\(text.utf8.count) digits)"
        case .string:
            return "the string \(Quoted(value.string ?? ""))"
        case .list:
            return "a list"
        case .object:
            return "an object"
        }
    }

    /// What to say of a field that an object does not have.
    private static let namesListedMax = 16

    private static func unknown<Object: ConfigurationObject>(_ name: String, in type: Object.Type) -> String {
        let intro = "\(Quoted(name)) is not a field of a \(Object.objectName)"
        let homes = [
            (ServiceConfiguration.objectName, ServiceConfiguration.fields.map(\.name)),
            (BackendConfiguration.objectName, BackendConfiguration.fields.map(\.name)),
        ]
        for (home, names) in homes where names.contains(name) {
            return "\(intro) but of a \(home); move it there"
        }
        for field in Object.fields {
            if case .nested(let access) = field.kind, access.hasField(name) {
                return "\(intro) but of its \"\(field.name)\"; move it there"
            }
        }
        let names = Object.fields.map(\.name)
        if let nearest = FieldSuggestion.nearest(to: name, among: names) {
            return "\(intro); did you mean \"\(nearest)\"?"
        }
        // A list that nobody reads to its end helps nobody.
        return names.count <= namesListedMax
            ? "\(intro); remove it, or use one of \(names.joined(separator: ", "))"
            : "\(intro); remove it, or use one of the \(names.count) that docs/configuration.md lists (a configuration shows those in use)"
    }
}
