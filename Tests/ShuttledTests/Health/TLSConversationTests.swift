// Checks by TLS, against servers that speak it and others, and the words of a failure.

import NIOCore
import NIOSSL
import Testing

@testable import shuttled

@Suite struct TLSConversationTests {
    private static func outcome(
        of habit: CheckServer.Habit, name: String? = "good.example", isVerified: Bool = false,
        timeout: TimeAmount = .seconds(10),
        tls: (@Sendable () throws -> NIOSSLContext)? = { try TestCertificate.server() }
    ) async throws -> CheckOutcome {
        try await CheckServer.outcome(
            of: habit, .tls(TLSPeer(serverName: name, isVerified: isVerified)), timeout: timeout, tls: tls
        )
    }

    @Test func aHandshakeThatCompletesIsGood() async throws {
        #expect(try await Self.outcome(of: .silent) == .succeeded)
        #expect(try await Self.outcome(of: .silent, name: nil) == .succeeded)
        #expect(try await Self.outcome(of: .silent, name: "wrong.example") == .succeeded, "nothing is verified")
        #expect(try await Self.outcome(of: .speaks("220 hello\r\n")) == .succeeded)
    }

    @Test func verificationComparesTheName() async throws {
        #expect(try await Self.outcome(of: .silent, isVerified: true) == .succeeded)
        let wrong = try await Self.outcome(of: .silent, name: "wrong.example", isVerified: true)
        #expect(wrong == .failed(#"TLS handshake failed: the certificate is not for "wrong.example""#))
        let nameless = try await Self.outcome(of: .silent, name: nil, isVerified: true)
        #expect(nameless == .failed("TLS handshake failed: the certificate is not for this address"))
    }

    @Test func verificationNeedsTrust() async throws {
        let outcome = try await ControlTesting.onLoop { loop in
            let server = try await CheckServer(.silent, tls: try TestCertificate.server(), on: loop)
            let other = TLSContexts(trustRoots: .certificates([]))
            let target = CheckServer.target(
                server.address, .tls(TLSPeer(serverName: "good.example", isVerified: true)))
            return try await ActiveCheck(loop: loop, contexts: other).check(target).get()
        }
        #expect(outcome == .failed("TLS handshake failed: certificate verify failed"))
    }

    @Test func theConnectionEndsPolitely() async throws {
        try await ControlTesting.onLoop { loop in
            let server = try await CheckServer(.speaks("220 hello\r\n"), tls: try TestCertificate.server(), on: loop)
            let target = CheckServer.target(server.address, .tls(TLSPeer(serverName: nil, isVerified: false)))
            #expect(try await ActiveCheck(loop: loop).check(target).get() == .succeeded)
            try await ControlTesting.eventually("connected") { server.connections == 1 }
            await loop.pause(CheckConnector.lingerLimit)
            #expect(server.resets == 0)
        }
    }

    @Test func whatIsNotTLSIsShown() async throws {
        #expect(
            try await Self.outcome(of: .speaks("220 mail.example ESMTP\r\n"), tls: nil)
                == .failed(#"TLS handshake failed: the answer is not TLS but "220 mail.example ESMTP\r\n""#))
        #expect(
            try await Self.outcome(of: .answersAndCloses("HTTP/1.1 400 Bad Request\r\n\r\n"), tls: nil)
                == .failed(#"TLS handshake failed: the answer is not TLS but "HTTP/1.1 400 Bad Request\r\n\r\n""#))
    }

    @Test func theEndsThatCome() async throws {
        #expect(
            try await Self.outcome(of: .silent, timeout: .milliseconds(100), tls: nil)
                == .failed("TLS handshake failed: no answer within 100 ms"))
        #expect(
            try await Self.outcome(of: .closesWhenAsked, tls: nil)
                == .failed("TLS handshake failed: closed without an answer"))
        // Whether the first word comes before its close is chance; a reset answers it then.
        let ends = ["closed without an answer", "connection reset by peer", "broken pipe"]
        let end = try await Self.outcome(of: .closesAtOnce, tls: nil)
        #expect(ends.contains { end == .failed("TLS handshake failed: \($0)") }, "\(end)")
        #expect(
            try await Self.outcome(of: .resetsWhenAsked, tls: nil)
                == .failed("TLS handshake failed: connection reset by peer"))
        let begun = CheckServer.Habit.answers([0x16, 3, 3, 0, 80, 2, 0])
        let half = try await Self.outcome(of: begun, timeout: .milliseconds(100), tls: nil)
        #expect(half == .failed("TLS handshake failed: not complete within 100 ms"))
        let closed = try await Self.outcome(of: .answersAndCloses("\u{16}\u{3}\u{3}\0P"), tls: nil)
        #expect(closed == .failed("TLS handshake failed: closed before it was complete"))
    }

    @Test func anAlertIsNamed() async throws {
        // Fatal, handshake_failure.
        let outcome = try await Self.outcome(of: .answers([0x15, 3, 3, 0, 2, 2, 40]), tls: nil)
        #expect(outcome == .failed("TLS handshake failed: sslv3 alert handshake failure"))
    }

    @Test func trustRootsThatCannotBeReadSayNothingOfTheBackend() async throws {
        let outcome = try await ControlTesting.onLoop { loop in
            let server = try await CheckServer(.silent, on: loop)
            let contexts = TLSContexts(trustRoots: .file("/nowhere/at/all.pem"))
            let target = CheckServer.target(server.address, .tls(TLSPeer(serverName: nil, isVerified: true)))
            return try await ActiveCheck(loop: loop, contexts: contexts).check(target).get()
        }
        guard case .inconclusive(let reason) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(reason.hasPrefix("the check could not be set up: "))
    }

    @Test func wordsOfTheLibrary() {
        let known = "Error: 1 error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED at /a/b.cc:393"
        #expect(TLSConversation.words(of: known) == "certificate verify failed")
        #expect(TLSConversation.words(of: "something\nelse") == "something?else")
        #expect(TLSConversation.words(of: "a:OPENSSL_internal") == "a:OPENSSL_internal")
    }
}
