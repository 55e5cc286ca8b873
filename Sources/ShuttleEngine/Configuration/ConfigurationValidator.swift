// Owns checking what a configuration keeps beyond the types of its fields: names, ranges, addresses, uniqueness, counts,
// and what its rules say of fields that belong together.
// Leaves to others: the rules (ConfigurationRules), types and unknown fields (shuttled/Configuration), and whatever needs
// the machine, such as looking up names and comparing what they resolve to.

/// Checks configurations and collects everything that is wrong with them.
///
/// Issues come in the order of the field tables, at most `ConfigurationIssue.countMax` of them. `prefix` is the JSON
/// pointer of what is checked within the document: with none, a single service's fields have pointers such as
/// `/backends/1/weight`. Fields in `reported` are known to be wrong already and are passed over, with all below them.
public enum ConfigurationValidator {
    /// What is wrong with a whole configuration.
    public static func issues(
        in services: [ServiceConfiguration], prefix: String = "", reported: Set<String> = []
    ) -> [ConfigurationIssue] {
        var check = ConfigurationCheck(reported: reported)
        check.services(services, at: prefix)
        return check.issues
    }

    /// What is wrong with one object and those in it: of a service, its backends.
    public static func issues(
        in object: some ConfigurationObject, prefix: String = "", reported: Set<String> = []
    ) -> [ConfigurationIssue] {
        var check = ConfigurationCheck(reported: reported)
        check.fields(of: object, at: prefix)
        return check.issues
    }

    /// What the rules say of a service in which a backend was changed by itself; the rest is valid. The issues are with
    /// the whole of what was sent.
    public static func combinationIssues(
        in service: ServiceConfiguration, pointer: String
    ) -> [ConfigurationIssue] {
        ServiceConfiguration.rules.compactMap { rule in
            rule.problem(service).map { ConfigurationIssue(pointer: pointer, detail: $0) }
        }
    }

    /// The issue of a list that has `count` entries, or nil when that is not too many.
    public static func countIssue(
        _ count: Int, of objectName: String, max countMax: Int, pointer: String
    ) -> ConfigurationIssue? {
        guard count > countMax else {
            return nil
        }
        return ConfigurationIssue(
            pointer: pointer,
            detail: "the list has \(count) \(objectName)s; it may have \(countMax) at most"
        )
    }
}

/// One run of the validator.
private struct ConfigurationCheck {
    private var reported: Set<String>
    private(set) var issues: [ConfigurationIssue] = []

    init(reported: Set<String>) {
        self.reported = reported
    }

    private var isFull: Bool {
        issues.count >= ConfigurationIssue.countMax
    }

    mutating func services(_ services: [ServiceConfiguration], at pointer: String) {
        if reported.contains(pointer) {
            return
        }
        let tooMany = ConfigurationValidator.countIssue(
            services.count,
            of: ServiceConfiguration.objectName,
            max: ConfigurationRanges.services.upperBound,
            pointer: pointer
        )
        if let tooMany {
            add(tooMany)
            return
        }
        let repeatedNames = repetitions(of: services.map(\.name), at: pointer)
        // A UDP service and a TCP service may have the same address.
        let sharedAddresses = repetitions(of: services.map(ConfigurationCheck.listener), at: pointer)
        for (index, service) in services.enumerated() where !isFull {
            let pointer = "\(pointer)/\(index)"
            let shared = sharedAddresses[index].map { other in
                ConfigurationIssue.sharedAddress(
                    use(of: service, at: pointer),
                    with: use(of: services[other.index], at: other.pointer)
                )
            }
            fields(of: service, at: pointer, nameIsAlso: repeatedNames[index], sharedAddress: shared)
        }
    }

    private struct Listener: Hashable {
        var address: ListenAddress
        var network: Network
    }

    private static func listener(of service: ServiceConfiguration) -> Listener? {
        (try? ListenAddress(parsing: service.address)).map { Listener(address: $0, network: service.network) }
    }

    mutating func fields<Object: ConfigurationObject>(
        of object: Object,
        at pointer: String,
        nameIsAlso other: Repetition? = nil,
        sharedAddress: ConfigurationIssue? = nil
    ) {
        if reported.contains(pointer) {
            return
        }
        for field in Object.fields where !isFull {
            switch field.kind {
            case .name(let path):
                let name = object[keyPath: path]
                if let problem = ConfigurationNames.problem(
                    with: name, field: field.name, reserved: Object.reservedNames
                ) {
                    add(field, at: pointer, problem)
                } else if let other {
                    let otherPointer = "\(other.pointer)/\(field.name)"
                    add(
                        field,
                        at: pointer,
                        "\"\(field.name)\" is \(Quoted(name)), as is that at \(otherPointer); "
                            + "give each \(Object.objectName) a name of its own"
                    )
                }
            case .address(let path, let role):
                let mayLackHost = role == .connectOrNone && (object as? BackendConfiguration)?.isService == true
                let problem = problem(
                    withAddress: object[keyPath: path], of: field, role: role, mayLackHost: mayLackHost
                )
                if let problem {
                    add(field, at: pointer, problem)
                } else if let sharedAddress, case .listen = role {
                    add(sharedAddress)
                }
            case .integer(let path, let range), .milliseconds(let path, let range):
                let value = object[keyPath: path]
                if !range.contains(value) {
                    add(field, at: pointer, "\"\(field.name)\" is \(value); it must be \(field.requirement)")
                }
            case .text(let path, let rule):
                let text = object[keyPath: path]
                if !rule.accepts(text) {
                    add(field, at: pointer, "\"\(field.name)\" is \(Quoted(text)); it must be \(field.requirement)")
                }
            case .texts(let path, let rule):
                texts(object[keyPath: path], of: field, rule, at: pointer)
            case .boolean, .word:
                break
            case .nested(let access):
                nested(access, in: object, at: "\(pointer)/\(field.name)")
            case .objects(let access):
                objects(access, in: object, at: "\(pointer)/\(field.name)")
            case .backends(let path):
                backends(object[keyPath: path], at: "\(pointer)/\(field.name)")
            }
        }
        for rule in Object.rules where !isFull {
            let pointers = rule.fields.map { "\(pointer)/\($0)" }
            if reported.isDisjoint(with: pointers), let problem = rule.problem(object) {
                add(ConfigurationIssue(pointer: pointers[0], detail: problem))
            }
        }
    }

    private mutating func nested<Access: NestedAccess>(_ access: Access, in owner: Access.Owner, at pointer: String) {
        if let value = access.value(in: owner) {
            fields(of: value, at: pointer)
        }
    }

    private mutating func objects<Access: ListAccess>(_ access: Access, in owner: Access.Owner, at pointer: String) {
        let values = access.values(in: owner)
        let tooMany = ConfigurationValidator.countIssue(
            values.count, of: Access.Value.objectName, max: access.countMax, pointer: pointer
        )
        if let tooMany {
            add(tooMany)
            return
        }
        for (index, value) in values.enumerated() where !isFull {
            fields(of: value, at: "\(pointer)/\(index)")
        }
    }

    private mutating func texts<Object>(
        _ texts: [String], of field: ConfigurationField<Object>, _ rule: TextListRule, at pointer: String
    ) {
        if texts.count > rule.countMax {
            add(field, at: pointer, "\"\(field.name)\" has \(texts.count) entries; it must be \(field.requirement)")
            return
        }
        let place = "\(pointer)/\(field.name)"
        for (index, text) in texts.enumerated() where !isFull {
            guard let problem = rule.element.problem(with: text) else {
                continue
            }
            // One that may have been written without brackets has no index.
            let isOne = rule.mayBeOneString && texts.count == 1
            let detail = "\"\(field.name)\" has \(Quoted(text)); \(problem)"
            add(ConfigurationIssue(pointer: isOne ? place : "\(place)/\(index)", detail: detail))
        }
        for conflict in rule.conflicts(texts, place) where !isFull {
            let detail = "\"\(field.name)\" has \(conflict.detail)"
            add(ConfigurationIssue(pointer: "\(place)/\(conflict.index)", detail: detail))
        }
    }

    private mutating func backends(_ backends: [BackendConfiguration], at pointer: String) {
        if reported.contains(pointer) {
            return
        }
        let tooMany = ConfigurationValidator.countIssue(
            backends.count,
            of: BackendConfiguration.objectName,
            max: ConfigurationRanges.backendsPerService.upperBound,
            pointer: pointer
        )
        if let tooMany {
            add(tooMany)
            return
        }
        let repeatedNames = repetitions(of: backends.map(\.name), at: pointer)
        for (index, backend) in backends.enumerated() where !isFull {
            fields(of: backend, at: "\(pointer)/\(index)", nameIsAlso: repeatedNames[index])
        }
    }

    private func problem<Object: ConfigurationObject>(
        withAddress address: String, of field: ConfigurationField<Object>, role: AddressRole, mayLackHost: Bool
    ) -> String? {
        if address.isEmpty {
            switch role {
            case .listen:
                // A pool.
                return nil
            case .connect:
                return "\"\(field.name)\" is empty; a backend needs an address to connect to, such as \"10.0.0.1:8080\""
            case .connectOrNone:
                return nil
            }
        }
        do throws(EndpointError) {
            guard role != .listen else {
                _ = try ListenAddress(parsing: address)
                return nil
            }
            guard case .endpoint(.wildcard(let port)) = try BackendAddress(parsing: address), !mayLackHost else {
                return nil
            }
            return "\"\(field.name)\" is \(Quoted(address)), which has no host to connect to; "
                + "put one before the colon, such as \"127.0.0.1:\(port)\""
        } catch {
            return "\"\(field.name)\" is \(Quoted(address)); \(error.explanation)"
        }
    }

    /// An earlier or later entry of a list that has the same value.
    fileprivate struct Repetition {
        let index: Int
        let pointer: String
    }

    /// For each index whose value is there more than once: the first index that has it, or for the first, the second.
    private func repetitions<Value: Hashable>(of values: [Value?], at pointer: String) -> [Int: Repetition] {
        var firstIndex: [Value: Int] = [:]
        var result: [Int: Repetition] = [:]
        for (index, value) in values.enumerated() {
            guard let value else {
                continue
            }
            guard let first = firstIndex[value] else {
                firstIndex[value] = index
                continue
            }
            result[index] = Repetition(index: first, pointer: "\(pointer)/\(first)")
            if result[first] == nil {
                result[first] = Repetition(index: index, pointer: "\(pointer)/\(index)")
            }
        }
        return result
    }

    private func use(of service: ServiceConfiguration, at pointer: String) -> ConfigurationIssue.AddressUse {
        ConfigurationIssue.AddressUse(
            pointer: "\(pointer)/address", service: service.name, address: service.address
        )
    }

    private mutating func add<Object>(
        _ field: ConfigurationField<Object>, at pointer: String, _ detail: String
    ) {
        add(ConfigurationIssue(pointer: "\(pointer)/\(field.name)", detail: detail))
    }

    private mutating func add(_ issue: ConfigurationIssue) {
        if !isFull, reported.insert(issue.pointer).inserted {
            issues.append(issue)
        }
    }
}
