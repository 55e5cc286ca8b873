// Owns turning JSON documents into configurations: which forms a document may have, and what is done with all that is
// wrong with it.
// Leaves to others: JSON itself (JSONDocument), single objects and fields (ConfigurationReading), the rules beyond
// types (ConfigurationValidator).

import ShuttleEngine

/// Reads configurations. What comes out is valid; otherwise everything that is wrong is thrown, not just the first.
enum ConfigurationDecoder {
    /// Name of the field that holds the list of services, where a document is an object.
    private static let servicesName = "services"

    /// A whole configuration: a list of services, or an object whose one field `services` is that list.
    static func services(
        from document: JSONDocument
    ) throws(ConfigurationDecodingError) -> [ServiceConfiguration] {
        var reading = ConfigurationReading(document: document)
        var services: [ServiceConfiguration] = []
        let pointer = servicesPointer(in: document)
        if let list = serviceList(in: document.root, &reading) {
            services = reading.list(
                list, at: pointer, countMax: ConfigurationRanges.services.upperBound
            )
        }
        reading.merge(ConfigurationValidator.issues(in: services, prefix: pointer, reported: reading.reported))
        try reading.finish()
        return services
    }

    /// One service. `name` is the one its path gives it: the document may then leave its own out.
    static func service(
        from document: JSONDocument, named name: String? = nil
    ) throws(ConfigurationDecodingError) -> ServiceConfiguration {
        var reading = ConfigurationReading(document: document)
        var service = ServiceConfiguration(name: name ?? "", address: "")
        reading.object(document.root, at: "", into: &service, named: name)
        reading.merge(ConfigurationValidator.issues(in: service, reported: reading.reported))
        try reading.finish()
        return service
    }

    /// One backend. `name` is the one its path gives it: the document may then leave its own out.
    static func backend(
        from document: JSONDocument, named name: String? = nil
    ) throws(ConfigurationDecodingError) -> BackendConfiguration {
        var reading = ConfigurationReading(document: document)
        var backend = BackendConfiguration(name: name ?? "", address: "")
        reading.object(document.root, at: "", into: &backend, named: name)
        reading.merge(ConfigurationValidator.issues(in: backend, reported: reading.reported))
        try reading.finish()
        return backend
    }

    /// Pointer of the list of services: for issues that are found after decoding.
    static func servicesPointer(in document: JSONDocument) -> String {
        document.root.kind == .object ? "/\(servicesName)" : ""
    }

    private static func serviceList(in root: JSONValue, _ reading: inout ConfigurationReading) -> JSONValue? {
        let rule = "it must be a list of services, or an object whose one field \"\(servicesName)\" is that list"
        switch root.kind {
        case .list:
            return root
        case .object:
            let list = root.member(servicesName)
            for member in root.children where !reading.isFull {
                guard let name = member.name, name != servicesName else {
                    continue
                }
                let intro = "\(Quoted(name)) is not a field of a configuration"
                if let nearest = FieldSuggestion.nearest(to: name, among: [servicesName]) {
                    reading.add(member, "\(intro); did you mean \"\(nearest)\"?")
                } else if list != nil {
                    reading.add(member, "\(intro); remove it, only \"\(servicesName)\" is one")
                }
            }
            if list == nil, reading.issues.isEmpty {
                reading.add(
                    ConfigurationIssue(
                        pointer: "", detail: "the configuration is an object without \"\(servicesName)\"; \(rule)"
                    )
                )
            }
            if let list, list.kind != .list {
                let found = ConfigurationReading.describe(list)
                reading.add(list, "\"\(servicesName)\" is \(found); it must be a list of services")
                return nil
            }
            return list
        default:
            let found = ConfigurationReading.describe(root)
            reading.add(ConfigurationIssue(pointer: "", detail: "the configuration is \(found); \(rule)"))
            return nil
        }
    }
}

extension ConfigurationDecoder {
    /// A whole configuration from its text.
    static func services(parsing bytes: [UInt8]) throws(ConfigurationDecodingError) -> [ServiceConfiguration] {
        try services(from: document(parsing: bytes))
    }

    /// One service from its text.
    static func service(
        parsing bytes: [UInt8], named name: String? = nil
    ) throws(ConfigurationDecodingError) -> ServiceConfiguration {
        try service(from: document(parsing: bytes), named: name)
    }

    /// One backend from its text.
    static func backend(
        parsing bytes: [UInt8], named name: String? = nil
    ) throws(ConfigurationDecodingError) -> BackendConfiguration {
        try backend(from: document(parsing: bytes), named: name)
    }

    /// A document whose meaning is found later, as with patches.
    static func document(parsing bytes: [UInt8]) throws(ConfigurationDecodingError) -> JSONDocument {
        do throws(JSONSyntaxError) {
            return try JSONDocument(parsing: bytes)
        } catch {
            throw ConfigurationDecodingError(error)
        }
    }
}
