// A running admin endpoint for tests, over a control plane that only remembers.

import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import ShuttleEngine
import Testing

@testable import shuttled

/// What a test has of a running endpoint.
struct AdminFixture: Sendable {
    let control: FakeControl
    /// `127.0.0.1:port` or `unix:/path`.
    let address: String
    /// The endpoint's loop.
    let loop: any EventLoop
    private let server: AdminServer
    private let clients: any EventLoopGroup
    private let services: ServiceGroup

    static var silentLogger: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }

    /// Runs an endpoint around `body`, stops it and waits for its end.
    static func run(
        _ configuration: [ServiceConfiguration] = [FakeControl.web], at text: String = "127.0.0.1:0",
        limits: AdminLimits = AdminLimits(), hosts: [AllowedHosts.Rule] = [], tokens: AccessTokens? = nil,
        logger: Logger = silentLogger,
        _ body: (AdminFixture) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let clients = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let address = try AdminAddress(parsing: text)
        let listener = try AdminListener(opening: address)
        let control = FakeControl(configuration, loop: group.any())
        let responder = AdminResponder(
            control: control, hosts: AllowedHosts(boundTo: address, further: hosts), tokens: tokens, limits: limits
        )
        let server = AdminServer(listener: listener, responder: responder, group: group, logger: logger)
        let services = ServiceGroup(configuration: .init(services: [server], logger: silentLogger))
        let fixture = AdminFixture(
            control: control, address: listener.boundAddress, loop: group.any(), server: server, clients: clients,
            services: services
        )
        let executor = ControlLoopExecutor(loop: group.any())
        let running = Task(executorPreference: executor) { try await services.run() }
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(fixture))
        } catch {
            result = .failure(error)
        }
        await services.triggerGracefulShutdown()
        try await running.value
        try await clients.shutdownGracefully()
        try await group.shutdownGracefully()
        try result.get()
    }

    func connect() async throws -> RawConnection {
        try await RawConnection.open(address, on: clients)
    }

    /// How many connections have a place.
    func connectionCount() async throws -> Int {
        try await server.connectionCount().get()
    }

    /// Asks the endpoint to stop.
    func stop() async {
        await services.triggerGracefulShutdown()
    }

    /// One request on a connection of its own.
    func request(
        _ method: String, _ target: String, headers: [String] = [], body: String? = nil, host: String? = nil
    ) async throws -> RawResponse {
        let connection = try await connect()
        await connection.send(head(method, target, headers: headers, body: body, host: host) + (body ?? ""))
        let response = try await connection.response(hasBody: method != "HEAD")
        await connection.close()
        return response
    }

    /// The header of a request; a body's length is declared.
    func head(
        _ method: String, _ target: String, headers: [String] = [], body: String? = nil, host: String? = nil
    ) -> String {
        var lines = ["\(method) \(target) HTTP/1.1", "Host: \(host ?? address)"] + headers
        if let body {
            lines.append("Content-Length: \(body.utf8.count)")
            if !headers.contains(where: { $0.lowercased().hasPrefix("content-type:") }) {
                lines.append("Content-Type: application/json")
            }
        }
        return lines.joined(separator: "\r\n") + "\r\n\r\n"
    }
}

extension RawResponse {
    /// The members of an answer that is a problem.
    func problem() throws -> (type: String, detail: String, pointers: [String]) {
        #expect(self["content-type"] == "application/problem+json", "\(self)")
        let document = try JSONDocument(parsing: Array(body.utf8))
        let root = document.root
        func text(_ name: String, of value: JSONValue) throws -> String {
            try #require(value.member(name)?.string, "\(name) in \(self)")
        }
        #expect(try !text("title", of: root).isEmpty)
        #expect(body.contains("\"status\": \(status),"))
        let errors = root.member("errors").map { Array($0.children) } ?? []
        return try (
            text("type", of: root), text("detail", of: root), errors.map { try text("pointer", of: $0) }
        )
    }
}
