// Owns what is said to clients that send something else than a request, or too slowly.
// Leaves to others: noticing it (NIO's parser, ConnectionState).

import NIOCore
import NIOHTTP1
import ShuttleEngine

extension ProblemDetails {
    /// Bytes that are not HTTP as it is spoken here.
    init(_ failure: HTTPParserError, limits: AdminLimits) {
        switch failure {
        case .headerOverflow:
            self.init(
                .headerTooLarge,
                "the header is too large; it may have \(limits.headerFieldsMax) fields and \(limits.headerBytesMax) "
                    + "bytes, of which the request line and each field may have \(limits.headerFieldBytesMax)"
            )
        case .invalidEOFState:
            self.init(.malformedRequest, "the connection ended within the request; send it whole")
        case .invalidVersion:
            self.init(.malformedRequest, "the HTTP version is not known here; use HTTP/1.1 without TLS")
        default:
            self.init(
                .malformedRequest,
                "what was sent is not an HTTP/1.1 request (\(failure)); check that the client speaks plain HTTP"
            )
        }
    }

    /// A target with a host of its own, which has to be the one that `Host` names: what comes after here sees only that.
    init?(target: String, host: String?) {
        guard let scheme = target.firstRange(of: "://"), !target.hasPrefix("/") else {
            return nil
        }
        let authority = target[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" }
        guard authority.lowercased() != host?.lowercased() else {
            return nil
        }
        self.init(
            .malformedRequest,
            "the request target \(Quoted(target)) is for another host than Host, \(Quoted(host ?? "")); send a path"
        )
    }

    static func headTimeout(_ limits: AdminLimits) -> ProblemDetails {
        ProblemDetails(
            .requestTimeout,
            "the header was not complete after \(seconds(limits.headTimeout)); send it at once"
        )
    }

    static func bodyTimeout(_ limits: AdminLimits) -> ProblemDetails {
        ProblemDetails(
            .requestTimeout,
            "the body came too slowly; it may pause for \(seconds(limits.bodyTimeout)) and must come with "
                + "\(limits.bytesPerSecondMin / 1024) KiB/s overall. Nothing was changed"
        )
    }

    private static func seconds(_ amount: TimeAmount) -> String {
        amount.nanoseconds >= 1_000_000_000
            ? "\(amount.nanoseconds / 1_000_000_000) s" : "\(amount.nanoseconds / 1_000_000) ms"
    }
}
