// Owns a check by TLS: a handshake that completes, and what is said of one that does not.
// Leaves to others: TLS itself (NIOSSL).

import Glibc
import NIOCore
import NIOSSL
import NIOTLS

/// The settings of TLS, made when they are first needed: reading a machine's trust roots takes milliseconds.
final class TLSContexts {
    private let trustRoots: NIOSSLTrustRoots
    private var verifying: NIOSSLContext?
    private var trusting: NIOSSLContext?

    /// Without `trustRoots` those of the machine hold: the file that `SSL_CERT_FILE` names, or else the system's.
    init(trustRoots: NIOSSLTrustRoots? = nil) {
        let named = getenv("SSL_CERT_FILE").map { String(cString: $0) }
        self.trustRoots = trustRoots ?? named.map(NIOSSLTrustRoots.file) ?? .default
    }

    func context(isVerified: Bool) throws -> NIOSSLContext {
        if let context = isVerified ? verifying : trusting {
            return context
        }
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = isVerified ? .fullVerification : .none
        configuration.trustRoots = trustRoots
        configuration.shutdownTimeout = CheckConnector.lingerLimit
        let context = try NIOSSLContext(configuration: configuration)
        if isVerified {
            verifying = context
        } else {
            trusting = context
        }
        return context
    }
}

/// Completes a handshake.
final class TLSConversation: CheckConversation {
    typealias InboundIn = ByteBuffer

    /// Chains of certificates may be long.
    static let answerMax = 256 * 1024
    static let reasonWhenTooLong = "\(intro): it is not complete after \(answerMax) bytes"
    /// Sends the alert that ends a TLS connection before its end.
    static let closeMode = CloseMode.all
    private static let intro = "TLS handshake failed"

    let verdict: EventLoopPromise<CheckOutcome>
    private let peer: TLSPeer
    private let contexts: TLSContexts
    private(set) var isAnswered = false
    private var meter: ReceiveMeter?

    init(_ peer: TLSPeer, _ contexts: TLSContexts, verdict: EventLoopPromise<CheckOutcome>) {
        self.peer = peer
        self.contexts = contexts
        self.verdict = verdict
    }

    func codecs(_ meter: ReceiveMeter) throws -> [any ChannelHandler] {
        self.meter = meter
        let context = try contexts.context(isVerified: peer.isVerified)
        return [try NIOSSLClientHandler(context: context, serverHostname: peer.serverName)]
    }

    /// The codec has begun by itself.
    func begin(on channel: any Channel) {}

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .some(.handshakeCompleted) = event as? TLSUserEvent {
            isAnswered = true
            verdict.succeed(.succeeded)
        }
    }

    /// What is sent inside of TLS is of no interest.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

    func channelInactive(context: ChannelHandlerContext) {
        verdict.succeed(.failed("\(TLSConversation.intro): \(reasonOfEnd)"))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let outcome = CheckOutcome(error)
        if error is IOError {
            guard case .failed(let reason) = outcome else {
                verdict.succeed(outcome)
                return
            }
            verdict.succeed(.failed("\(TLSConversation.intro): \(reason)"))
            return
        }
        verdict.succeed(.failed("\(TLSConversation.intro): \(reason(of: error))"))
    }

    func reasonWhenLate(_ limit: TimeAmount) -> String {
        let isSilent = meter?.count == 0
        let reason = isSilent ? "no answer" : "not complete"
        return "\(TLSConversation.intro): \(reason) within \(CheckReason.milliseconds(limit))"
    }

    // MARK: Words

    private var reasonOfEnd: String {
        if let stranger {
            return stranger
        }
        return meter?.count == 0 ? "closed without an answer" : "closed before it was complete"
    }

    /// What an answer is said to be that does not begin like a record of TLS.
    private var stranger: String? {
        guard let meter, let first = meter.beginning.first, !(0x14...0x18).contains(first) else {
            return nil
        }
        return "the answer is not TLS but \(CheckReason.quoted(meter.beginning))"
    }

    private func reason(of error: any Error) -> String {
        if let stranger {
            return stranger
        }
        if error as? NIOSSLExtraError == .failedToValidateHostname {
            let name = peer.serverName.map { CheckReason.quoted($0.utf8) } ?? "this address"
            return "the certificate is not for \(name)"
        }
        guard case .handshakeFailed(let failure)? = error as? NIOSSLError else {
            return CheckReason.bounded("\(error)")
        }
        switch failure {
        case .sslError(let stack), .unknownError(let stack):
            if stack.contains(.eofDuringHandshake) {
                return reasonOfEnd
            }
            return stack.first.map { TLSConversation.words(of: $0.description) } ?? "no reason is known"
        default:
            return CheckReason.bounded("\(failure)")
        }
    }

    /// `certificate verify failed` of
    /// `Error: 268435581 error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED at handshake.cc:393`.
    static func words(of description: String) -> String {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false)
        guard let index = parts.firstIndex(of: "OPENSSL_internal"), index + 1 < parts.count else {
            return CheckReason.bounded(description)
        }
        let name = parts[index + 1].prefix { $0 != " " }
        return CheckReason.bounded(name.lowercased().split(separator: "_").joined(separator: " "))
    }
}
