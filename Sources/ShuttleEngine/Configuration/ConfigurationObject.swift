// Owns the tables of fields of services and backends. A new field is one line here and a property of its struct.
// Leaves to others: the values (ServiceConfiguration, BackendConfiguration), rules about several fields
// (ConfigurationRules).

/// A configuration struct whose fields are listed in a table.
public protocol ConfigurationObject: Equatable, Sendable {
    /// What messages call such an object: "a service", "a keepalive object".
    static var objectName: String { get }
    /// The fields in the order they are printed.
    static var fields: [ConfigurationField<Self>] { get }
    /// What fields that belong together must not say together.
    static var rules: [ConfigurationRule<Self>] { get }
    /// Names that such an object cannot have, although they are well formed.
    static var reservedNames: Set<String> { get }
    /// One in which every field has its default, those that are required are empty.
    static var blank: Self { get }
}

extension ConfigurationObject {
    public static var rules: [ConfigurationRule<Self>] { [] }
    public static var reservedNames: Set<String> { [] }
}

extension ServiceConfiguration: ConfigurationObject {
    public static let objectName = "service"
    /// Name of the list of backends.
    public static let backendsName = "backends"

    /// `backends` comes last: it reads best, and live statistics go before it.
    public static let fields: [ConfigurationField<ServiceConfiguration>] = [
        .init("name", .name(\.name), .required),
        .init("address", .address(\.address, .listen), .required),
        .init("network", .choice(\.network)),
        .init("balance", .choice(\.balance), .always),
        .init(
            "check_interval",
            .milliseconds(\.checkIntervalMilliseconds, ConfigurationRanges.checkIntervalMilliseconds),
            .always
        ),
        .init("fall", .integer(\.fall, ConfigurationRanges.checksInARow), .always),
        .init("rise", .integer(\.rise, ConfigurationRanges.checksInARow), .always),
        .init(
            "client_timeout",
            .milliseconds(\.clientTimeoutMilliseconds, ConfigurationRanges.timeoutMilliseconds),
            .always
        ),
        .init(
            "server_timeout",
            .milliseconds(\.serverTimeoutMilliseconds, ConfigurationRanges.timeoutMilliseconds),
            .always
        ),
        .init(
            "connect_timeout",
            .milliseconds(\.connectTimeoutMilliseconds, ConfigurationRanges.connectTimeoutMilliseconds),
            .always
        ),
        .init("retries", .integer(\.retries, ConfigurationRanges.retries)),
        .init(
            "retry_timeout", .milliseconds(\.retryTimeoutMilliseconds, ConfigurationRanges.retryTimeoutMilliseconds)),
        .init(
            "resolve_interval",
            .milliseconds(\.resolveIntervalMilliseconds, ConfigurationRanges.resolveIntervalMilliseconds)
        ),
        .init("passive", .object(\.passive)),
        .init("max_connections", .integer(\.connectionsMax, ConfigurationRanges.connectionsMax)),
        .init("max_connections_per_client", .integer(\.connectionsPerClientMax, ConfigurationRanges.connectionsMax)),
        .init("queue_limit", .integer(\.queueLimit, ConfigurationRanges.queueLimit)),
        .init("queue_timeout", .milliseconds(\.queueTimeoutMilliseconds, ConfigurationRanges.timeoutMilliseconds)),
        .init("allow", .texts(\.allow, AccessEntries.rule)),
        .init("deny", .texts(\.deny, AccessEntries.rule)),
        .init("rate_limit", .object(\.rateLimit)),
        .init("bandwidth_limit", .object(\.bandwidth)),
        .init("service_bandwidth_limit", .object(\.serviceBandwidth)),
        .init("maintenance", .boolean(\.isInMaintenance)),
        .init("half_close", .boolean(\.halfClose)),
        .init(
            "half_close_timeout",
            .milliseconds(\.halfCloseTimeoutMilliseconds, ConfigurationRanges.timeoutMilliseconds)
        ),
        .init("max_lifetime", .milliseconds(\.maxLifetimeMilliseconds, ConfigurationRanges.maxLifetimeMilliseconds)),
        .init("max_lifetime_jitter", .integer(\.maxLifetimeJitterPercent, ConfigurationRanges.percent)),
        .init("keepalive", .object(\.keepalive)),
        .init("user_timeout", .milliseconds(\.userTimeoutMilliseconds, ConfigurationRanges.timeoutMilliseconds)),
        .init("source_address", .texts(\.sourceAddresses, sourceAddressRule)),
        .init("proxy_protocol_accept", .boolean(\.proxyProtocolAccept)),
        .init("proxy_protocol_send", .choice(\.proxyProtocolSend)),
        .init(
            "preread_timeout",
            .milliseconds(\.prereadTimeoutMilliseconds, ConfigurationRanges.prereadTimeoutMilliseconds)
        ),
        .init("preread_limit", .integer(\.prereadLimitBytes, ConfigurationRanges.prereadLimitBytes)),
        .init("routes", .list(\.routes, countMax: ConfigurationRanges.routesPerService)),
        .init("socket_mode", .text(\.socketMode, SocketPermissions.modeRule)),
        .init("socket_owner", .text(\.socketOwner, SocketPermissions.identityRule)),
        .init("socket_group", .text(\.socketGroup, SocketPermissions.identityRule)),
        .init("drain_timeout", .milliseconds(\.drainTimeoutMilliseconds, ConfigurationRanges.timeoutMilliseconds)),
        .init(
            "udp_idle_timeout",
            .milliseconds(\.udpIdleTimeoutMilliseconds, ConfigurationRanges.udpIdleTimeoutMilliseconds)
        ),
        .init("udp_max_sessions", .integer(\.udpSessionsMax, ConfigurationRanges.udpSessionsMax)),
        .init("udp_responses", .integer(\.udpResponses, ConfigurationRanges.udpDatagrams)),
        .init("udp_requests", .integer(\.udpRequests, ConfigurationRanges.udpDatagrams)),
        .init("access_log", .object(\.accessLog)),
        .init("check", .object(\.check)),
        .init(backendsName, .backends(\.backends), .always),
    ]

    private static let sourceAddressRule = TextListRule(
        of: TextRule("a numeric address of this machine without a port, such as \"192.0.2.1\" or \"2001:db8::1\"") {
            text in
            AddressLiteral.isSource(text)
        },
        countMax: ConfigurationRanges.sourceAddressesMax,
        mayBeOneString: true
    )

    public static var reservedNames: Set<String> { ConfigurationNames.reservedForRoutes }

    public static let blank = ServiceConfiguration(name: "", address: "")
}

extension BackendConfiguration: ConfigurationObject {
    public static let objectName = "backend"

    public static let fields: [ConfigurationField<BackendConfiguration>] = [
        .init("name", .name(\.name), .required),
        .init("address", .address(\.address, .connect), .required),
        .init("check_address", .address(\.checkAddress, .connectOrNone), .always),
        .init("weight", .integer(\.weight, ConfigurationRanges.weight), .always),
        .init("max_connections", .integer(\.connectionsMax, ConfigurationRanges.connectionsMax)),
        .init("backup", .boolean(\.isBackup)),
        .init("state", .choice(\.state)),
        .init("slow_start", .milliseconds(\.slowStartMilliseconds, ConfigurationRanges.timeoutMilliseconds)),
        .init("passive", .object(\.passive)),
        .init("proxy_protocol_send", .choice(\.proxyProtocolSend)),
    ]

    public static let blank = BackendConfiguration(name: "", address: "")
}
