// Owns who may call: the rules that keep other web sites, and requests meant for other servers, from the admin API.
// It looks at a request's header and nothing else.
// Leaves to others: which hosts are ours (AllowedHosts), what the request asks for (AdminRoute).

import Hummingbird
import NIOCore
import ShuttleEngine

/// Says of a request whether it may be looked at any further.
struct RequestGuard: Sendable {
    var hosts: AllowedHosts

    private typealias FieldName = HTTPFields.Element.Name
    private static let host = FieldName("Host")!
    private static let fetchSite = FieldName("Sec-Fetch-Site")!

    /// Why `request`, which arrived at `local`, is refused; `nil` when it is not. On a unix socket `local` has no port.
    func refusal(of request: HTTPRequest, arrivedAt local: NIOCore.SocketAddress?) -> ProblemDetails? {
        let fields = request.headerFields
        // Where two servers disagree on which of them holds, a body can hide a second request.
        if fields[.transferEncoding] != nil, fields[.contentLength] != nil {
            return ProblemDetails(
                .malformedRequest, "the request has both Content-Length and Transfer-Encoding; send only one of them"
            )
        }
        var authority: Authority?
        if !RequestGuard.isUnix(local) {
            switch host(of: request, arrivedAt: local) {
            case .success(let host): authority = host
            case .failure(let problem): return problem
            }
        }
        return originRefusal(fields, host: authority, arrivedAt: local) ?? fetchSiteRefusal(fields)
    }

    private static func isUnix(_ address: NIOCore.SocketAddress?) -> Bool {
        if case .unixDomainSocket? = address {
            return true
        }
        return false
    }

    // MARK: Host

    private func host(
        of request: HTTPRequest, arrivedAt local: NIOCore.SocketAddress?
    ) -> Result<Authority, ProblemDetails> {
        // The first `Host` is the authority; further ones stay among the fields.
        guard let text = request.authority else {
            return .failure(ProblemDetails(.malformedRequest, "the request has no Host header field; send one"))
        }
        guard request.headerFields[values: RequestGuard.host].isEmpty else {
            return .failure(
                ProblemDetails(.malformedRequest, "the request has more than one Host header field; send one")
            )
        }
        guard let authority = Authority(parsing: text) else {
            return .failure(
                ProblemDetails(
                    .malformedRequest,
                    "Host is \(Quoted(text)), which is not a host with an optional port, such as \"127.0.0.1:9090\""
                )
            )
        }
        guard hosts.contains(authority, arrivedAt: local) else {
            let bound = local.flatMap(RequestGuard.describe) ?? "unknown"
            return .failure(
                ProblemDetails(
                    .foreignHost,
                    "Host is \(Quoted(text)), which is not this admin endpoint (\(bound)); call it by its address and "
                        + "port, or start shuttled with -http-host to allow a further name"
                )
            )
        }
        return .success(authority)
    }

    private static func describe(_ address: NIOCore.SocketAddress) -> String? {
        guard let host = address.ipAddress, let port = address.port else {
            return nil
        }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    // MARK: Origin

    /// A page that sends its origin must be one of ours: same scheme, a host that is ours, the port that was called. Behind a
    /// TLS proxy the dashboard has the scheme https: then it must have been loaded from the very host and port that are
    /// called, and we must have been told of them.
    private func originRefusal(
        _ fields: HTTPFields, host: Authority?, arrivedAt local: NIOCore.SocketAddress?
    ) -> ProblemDetails? {
        let (scheme, secureScheme) = ("http://", "https://")
        for origin in fields[values: .origin] {
            let isOurs =
                origin.lowercased().hasPrefix(scheme)
                && Authority(parsing: origin.dropFirst(scheme.count)).map {
                    ($0.port == host?.port || host == nil) && hosts.contains($0, arrivedAt: local)
                } == true
                || origin.lowercased().hasPrefix(secureScheme)
                    && Authority(parsing: origin.dropFirst(secureScheme.count)).map {
                        ($0 == host || host == nil) && hosts.wereToldOf($0)
                    } == true
            if !isOurs {
                return ProblemDetails(
                    .foreignOrigin,
                    "Origin is \(Quoted(origin)), which is not this admin endpoint: pages of other sites may not call"
                )
            }
        }
        return nil
    }

    private func fetchSiteRefusal(_ fields: HTTPFields) -> ProblemDetails? {
        for site in fields[values: RequestGuard.fetchSite] where site != "none" && site != "same-origin" {
            return ProblemDetails(
                .foreignOrigin,
                "Sec-Fetch-Site is \(Quoted(site)): a page of another site made the browser call; open the address"
            )
        }
        return nil
    }
}
