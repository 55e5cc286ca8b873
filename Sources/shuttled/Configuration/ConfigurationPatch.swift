// Owns merging a patch (RFC 7396) into a service or a backend: what a document says of one that there is.
// Leaves to others: fields (ConfigurationReading), the rules beyond types (ConfigurationValidator), which service it is
// (shuttled/Control).

import ShuttleEngine

/// Merges patches. What a patch leaves out stays as it is, `null` stands for the default of a field, and objects are merged
/// into those that there are. `backends` may be a list, which replaces the backends, or an object of backends by their names:
/// each is merged into the one of its name, created when there is none, or removed by `null`.
///
/// What comes out is valid; otherwise everything that is wrong is thrown.
enum ConfigurationPatch {
    /// A service after `document` was merged into it.
    static func apply(
        _ document: JSONDocument, to service: ServiceConfiguration
    ) throws(ConfigurationDecodingError) -> ServiceConfiguration {
        var reading = ConfigurationReading(document: document, isPatch: true)
        var result = service
        reading.merge(document.root, at: "", into: &result, named: service.name)
        let isByName = hasBackendsByName(document)
        reading.merge(
            ConfigurationValidator.issues(in: result).map { issue in
                isByName ? pointingByName(issue, in: result) : issue
            }
        )
        try reading.finish()
        return result
    }

    /// A backend after `document` was merged into it.
    static func apply(
        _ document: JSONDocument, to backend: BackendConfiguration
    ) throws(ConfigurationDecodingError) -> BackendConfiguration {
        var reading = ConfigurationReading(document: document, isPatch: true)
        var result = backend
        reading.merge(document.root, at: "", into: &result, named: backend.name)
        reading.merge(ConfigurationValidator.issues(in: result))
        try reading.finish()
        return result
    }

    /// Whether backends are named in the patch, not listed.
    static func hasBackendsByName(_ document: JSONDocument) -> Bool {
        document.root.member(ServiceConfiguration.backendsName)?.kind == .object
    }

    /// Where backends are named in a patch, pointers lead to them by their names.
    static func pointer(toBackend name: String) -> String {
        "/\(ServiceConfiguration.backendsName)/\(JSONPointer.escape(name))"
    }

    private static func pointingByName(
        _ issue: ConfigurationIssue, in service: ServiceConfiguration
    ) -> ConfigurationIssue {
        let segments = issue.pointer.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: true)
        guard segments.count >= 2, segments[0] == ServiceConfiguration.backendsName, let index = Int(segments[1]),
            service.backends.indices.contains(index)
        else {
            return issue
        }
        let rest = segments.count > 2 ? "/\(segments[2])" : ""
        return ConfigurationIssue(
            pointer: pointer(toBackend: service.backends[index].name) + rest, detail: issue.detail
        )
    }
}
