// Owns what each field of the configuration means, in one sentence, for who reads the description of the API.
// Leaves to others: ranges, words and defaults, which come from the tables of fields (ConfigurationSchemas).

import ShuttleEngine

/// Notes on fields; a test sees to it that each has one.
protocol NotedObject: ConfigurationObject {
    static var notes: [String: String] { get }
}

extension ServiceConfiguration: NotedObject {
    static let notes = [
        "name": "Unique; a segment of the paths of this API. Where the path names it, the body may leave it out.",
        "address":
            "Where it listens: host:port, [v6]:port, :port (IPv4 and IPv6), or a unix socket (unix:/path, /path, "
            + "unix:@name); empty for a pool, which only routes of others lead to.",
        "network": "What goes through: connections or datagrams.",
        "balance":
            "RR weighted round robin, LC weighted least connections, P2C the less loaded of two drawn by weight, RANDOM "
            + "drawn by weight, HASH by the client's address with minimal movement.",
        "check_interval": "Milliseconds between health checks; 0 disables them.",
        "fall": "Failed checks in a row before a backend is down.",
        "rise": "Good checks in a row before a backend is up.",
        "client_timeout": "Milliseconds that the client's side may be inactive; 0 is no limit.",
        "server_timeout": "Milliseconds that the backend's side may be inactive; 0 is no limit.",
        "connect_timeout": "Milliseconds for a connect to a backend, also for checks.",
        "retries": "Other backends that are tried when a connect fails, each once for the same client.",
        "retry_timeout": "Milliseconds that all connects for a client may take together; 0 is no limit but each one's.",
        "resolve_interval":
            "Milliseconds until host names are resolved again, from 1000; 0 goes by their time to live.",
        "passive": "When failures of real traffic take a backend out.",
        "max_connections": "Sessions at a time, exact over all rings; 0 is no limit.",
        "max_connections_per_client": "Sessions at a time from one client address; 0 is no limit.",
        "queue_limit": "Clients that may wait when all places are taken; 0 is no queue.",
        "queue_timeout": "Milliseconds that one may wait; 0 is as long as it takes.",
        "allow": "Networks and addresses whose clients come in, and \"unix\" for unix sockets; empty for all.",
        "deny": "Networks and addresses whose clients do not come in, whatever allow says.",
        "rate_limit": "How fast clients may come in.",
        "bandwidth_limit": "Bytes a second of each session.",
        "service_bandwidth_limit": "Bytes a second of all sessions together.",
        "maintenance": "Whether who comes is closed at once; sessions run on.",
        "half_close": "Whether one direction may go on when the other has ended.",
        "half_close_timeout": "Milliseconds that the direction which goes on may be inactive; 0 is no limit.",
        "max_lifetime": "Milliseconds that a session may live; 0 is no limit.",
        "max_lifetime_jitter": "By up to so many percent of it each session may live longer.",
        "keepalive": "The kernel's probes of silent peers, on both sides.",
        "user_timeout": "Milliseconds that bytes may stay unacknowledged (TCP_USER_TIMEOUT); 0 is the system's.",
        "source_address": "Where connections to backends come from: addresses of this machine, taken in turn.",
        "proxy_protocol_accept":
            "Whether every connection begins with a header of the PROXY protocol, v1 or v2; with UDP every datagram, v2.",
        "proxy_protocol_send": "The header of the PROXY protocol that connections to backends begin with.",
        "preread_timeout": "Milliseconds within which a PROXY header and a ClientHello must have come.",
        "preread_limit": "Bytes that each of them may have.",
        "routes": "Pools that TLS clients are led to by the name and the protocols they ask for.",
        "socket_mode": "Permissions of the file of a unix socket, octal.",
        "socket_owner": "Owner of that file, by name or number.",
        "socket_group": "Group of that file, by name or number.",
        "drain_timeout":
            "Milliseconds over which sessions of backends that drain or are removed are ended; 0 lets them run on.",
        "udp_idle_timeout": "Milliseconds without a datagram either way after which a UDP session ends.",
        "udp_max_sessions": "UDP sessions at a time; one more ends the one that has been idle for longest.",
        "udp_responses": "Datagrams of the backend after which a UDP session ends; 0 is any number.",
        "udp_requests": "Datagrams of a client after which its next one begins another session; 0 is any number.",
        "access_log": "Which sessions the access log has when they have ended, and the kernel is asked about.",
        "check": "What a health check does once it has connected.",
        "backends": "In the order that balancing uses.",
    ]
}

extension BackendConfiguration: NotedObject {
    static let notes = [
        "name": "Unique within its service. Where the path names it, the body may leave it out.",
        "address":
            "host:port with an IP address or a name, srv: and the name of SRV records, or a unix socket. A new address is a "
            + "new backend.",
        "check_address": "Where health checks connect to; empty for none.",
        "weight": "Its share of new connections; 0 gets none.",
        "max_connections": "Connections at a time over all rings; 0 is no limit.",
        "backup": "Whether it is used only when no other backend can be.",
        "state": "drain and maintenance: nothing new, connections run on.",
        "slow_start": "Milliseconds over which one that has come up gets its share of new connections.",
        "passive": "In place of the service's.",
        "proxy_protocol_send": "In place of the service's.",
    ]
}

extension PassiveConfiguration: NotedObject {
    static let notes = [
        "failures": "So many within the window take a backend out; 0 turns it off.",
        "window": "Milliseconds.",
        "down_time": "Milliseconds that it stays out, where it is not checked.",
    ]
}

extension KeepaliveConfiguration: NotedObject {
    static let notes = [
        "idle": "Milliseconds of silence before the first probe, whole seconds; 0 is none.",
        "interval": "Milliseconds between probes, whole seconds.",
        "count": "Probes without an answer after which the connection is dead.",
    ]
}

extension RateLimitConfiguration: NotedObject {
    static let notes = [
        "per_second": "Connections a second in the long run.",
        "burst": "Connections that may come at once after a pause.",
        "per": "Whose connections share the rate.",
        "action": "What becomes of one that comes too early.",
    ]
}

extension AccessLogConfiguration: NotedObject {
    static let notes = ["one_in": "One of so many sessions, drawn by chance; 1 is every session."]
}

extension BandwidthConfiguration: NotedObject {
    static let notes = [
        "upload": "From clients to backends, bytes a second, from 1024; 0 is no limit.",
        "download": "From backends to clients, bytes a second, from 1024; 0 is no limit.",
    ]
}

extension RouteConfiguration: NotedObject {
    static let notes = [
        "sni": "Host names, or *. and a host name for all that end in it; none for every client.",
        "alpn": "Protocols of which one must be offered; none asks for nothing.",
        "service": "A service whose address is empty.",
    ]
}

extension CheckConfiguration: NotedObject {
    static let notes = [
        "type":
            "tcp connects; http looks at the status of an answer; tcp_expect sends bytes and waits for others; tls "
            + "completes a handshake.",
        "path": "Of http: begins with a slash.",
        "host": "Of http the Host header, of tls the name that is sent.",
        "status": "Of http: which status is good, codes and ranges.",
        "send": "Of tcp_expect: text, or hex: and pairs of digits.",
        "expect": "Of tcp_expect: as send; found anywhere in the first 16 KiB it is good.",
        "sni": "Of tls: the name that is sent and compared with the certificate.",
        "verify": "Of tls: whether the certificate must be valid.",
        "timeout": "Milliseconds for all that comes after the connect.",
    ]
}
