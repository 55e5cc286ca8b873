// Owns the values that a service's active checks are configured with, and which of them go together.
// Leaves to others: the syntax of status ranges and of bytes (StatusRanges, CheckBytes), and making checks
// (shuttled/Health).

/// What a check does once it has connected.
public enum CheckType: String, Sendable, CaseIterable, Hashable {
    /// Nothing: the connect was the check.
    case tcp
    /// Asks for a path and looks at the status of the answer.
    case http
    /// Sends bytes, and waits for bytes that contain those expected.
    case tcpExpect = "tcp_expect"
    /// Completes a TLS handshake.
    case tls
}

/// How the backends of a service are checked. An empty string means that the field is not given.
public struct CheckConfiguration: Equatable, Hashable, Sendable {
    public var type: CheckType
    /// Of `http`: what is asked for.
    public var path: String
    /// Of `http`: the `Host` header, by default the address that is checked. Of `tls`: as `serverName`.
    public var host: String
    /// Of `http`: which status is good.
    public var status: String
    /// Of `tcpExpect`: what is sent first; empty where the backend speaks first.
    public var send: String
    /// Of `tcpExpect`: what the answer must contain.
    public var expect: String
    /// Of `tls`: the name that is sent, and that the certificate is compared with.
    public var serverName: String
    /// Of `tls`: whether the certificate must be valid, trusted by this machine, and for this name.
    public var verify: Bool
    /// For all that comes after the connect, in milliseconds.
    public var timeoutMilliseconds: Int

    public init(
        type: CheckType = .tcp,
        path: String = ConfigurationDefaults.checkPath,
        host: String = "",
        status: String = ConfigurationDefaults.checkStatus,
        send: String = "",
        expect: String = "",
        serverName: String = "",
        verify: Bool = false,
        timeoutMilliseconds: Int = ConfigurationDefaults.checkTimeoutMilliseconds
    ) {
        self.type = type
        self.path = path
        self.host = host
        self.status = status
        self.send = send
        self.expect = expect
        self.serverName = serverName
        self.verify = verify
        self.timeoutMilliseconds = timeoutMilliseconds
    }
}

// MARK: What is wrong with it

extension CheckConfiguration {
    /// One thing that is wrong with a check.
    public struct Problem: Equatable, Sendable {
        /// The field's name on the wire.
        public var field: String
        /// Names the field, its value and the remedy.
        public var detail: String
    }

    /// The types of check that a field belongs to, by its name; `type` is not in it.
    static let typesByField: [(field: String, types: Set<CheckType>)] = [
        ("path", [.http]),
        ("host", [.http, .tls]),
        ("status", [.http]),
        ("send", [.tcpExpect]),
        ("expect", [.tcpExpect]),
        ("sni", [.tls]),
        ("verify", [.tls]),
        ("timeout", [.http, .tcpExpect, .tls]),
    ]

    /// What is wrong with the values, in the order of the fields. Each is looked at only where it belongs to the type.
    public var problems: [Problem] {
        var problems = strayFields.map { field, types in
            let owners = CheckType.allCases.filter(types.contains).map { "\"\($0.rawValue)\"" }
            return Problem(
                field: field,
                detail: "\"\(field)\" belongs to checks of type \(owners.joined(separator: " or ")), and the type is "
                    + "\"\(type.rawValue)\"; remove it, or change the type"
            )
        }
        func add(_ field: String, _ value: String, _ rest: String?) {
            if let rest {
                problems.append(Problem(field: field, detail: "\"\(field)\" is \(Quoted(value)); \(rest)"))
            }
        }
        switch type {
        case .tcp:
            break
        case .http:
            add("path", path, CheckConfiguration.fault(inPath: path))
            add("host", host, CheckConfiguration.fault(inHostHeader: host))
            add("status", status, StatusRanges.fault(in: status))
        case .tcpExpect:
            add("send", send, CheckBytes.fault(in: send))
            if expect.isEmpty {
                problems.append(
                    Problem(
                        field: "expect",
                        detail: "\"expect\" is missing or empty; a check of type \"tcp_expect\" needs what the answer "
                            + "must contain, such as \"+PONG\" or \"hex:2b504f4e47\"")
                )
            } else {
                add("expect", expect, CheckBytes.fault(in: expect))
            }
        case .tls:
            add("host", host, CheckConfiguration.fault(inServerName: host))
            add("sni", serverName, CheckConfiguration.fault(inServerName: serverName))
            if !host.isEmpty, !serverName.isEmpty {
                add("sni", serverName, "with \"tls\" it says the same as \"host\"; leave one of them out")
            }
        }
        return problems
    }

    /// Fields that are given and do not belong to the type.
    private var strayFields: [(field: String, types: Set<CheckType>)] {
        let blank = CheckConfiguration()
        return CheckConfiguration.typesByField.filter { field, types in
            guard !types.contains(type) else {
                return false
            }
            switch field {
            case "path": return path != blank.path
            case "host": return host != blank.host
            case "status": return status != blank.status
            case "send": return send != blank.send
            case "expect": return expect != blank.expect
            case "sni": return serverName != blank.serverName
            case "verify": return verify != blank.verify
            default: return timeoutMilliseconds != blank.timeoutMilliseconds
            }
        }
    }

    // MARK: Single values

    private static func fault(inPath path: String) -> String? {
        let rule = "it must be a path such as \"/health?from=shuttle\""
        guard path.utf8.first == UInt8(ascii: "/") else {
            return "\(rule), which begins with \"/\""
        }
        guard path.utf8.count <= ConfigurationRanges.checkPathLength.upperBound else {
            return "\(rule) of at most \(ConfigurationRanges.checkPathLength.upperBound) characters"
        }
        let isVisible = path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }
        return isVisible ? nil : "\(rule), in visible ASCII without \"#\"; write other characters as %XX"
    }

    private static func fault(inHostHeader host: String) -> String? {
        let isFine =
            host.utf8.count <= ConfigurationRanges.checkNameLength.upperBound
            && host.utf8.allSatisfy { AddressLiteral.isLetterOrDigit($0) || ".-_:[]".utf8.contains($0) }
        return isFine ? nil : "it must be a host, or a host and a port, such as \"www.example\" or \"[fd00::1]:8080\""
    }

    /// Whether a host can be sent as the name of a TLS server: an address cannot.
    public static func isServerName(_ host: String) -> Bool {
        !host.isEmpty && fault(inServerName: host) == nil
    }

    private static func fault(inServerName name: String) -> String? {
        let rule = "it must be a host name such as \"www.example\""
        guard name.utf8.count <= ConfigurationRanges.checkNameLength.upperBound else {
            return "\(rule) of at most \(ConfigurationRanges.checkNameLength.upperBound) characters"
        }
        guard name.utf8.allSatisfy({ AddressLiteral.isLetterOrDigit($0) || ".-_".utf8.contains($0) }) else {
            return "\(rule), without a port"
        }
        // Nothing that ends in digits is a name (RFC 1123, 2.1); an address has no place in SNI.
        let last = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).last ?? []
        let isNumber = !last.isEmpty && last.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        return isNumber ? "\(rule), not an address; leave it out for a backend without a name" : nil
    }
}
