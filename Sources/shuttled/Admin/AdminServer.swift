// Owns the admin endpoint at work: accepting on the control loop, a pipeline for each connection, and stopping.
// Leaves to others: the socket (AdminListener), connections (ConnectionHandler), answers (AdminResponder).

import Glibc
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle
import ShuttleEngine

/// Serves the admin API on a listener until it is asked to stop.
///
/// Hummingbird reads requests and writes answers; accepting is done here, because the socket is bound before anything
/// runs and because places are given away by usefulness. Everything runs on the loop of `group`, tasks too when `run`
/// is called with the loop's executor as its preference.
struct AdminServer: Service {
    private let listener: AdminListener
    private let responder: AdminResponder
    private let table: NIOLoopBoundBox<ConnectionTable>
    private let logger: Logger
    /// Called on the way when the endpoint takes requests, with the address that it listens on.
    private let onRunning: @Sendable (String) -> Void

    init(
        listener: AdminListener, responder: AdminResponder, group: any EventLoopGroup, logger: Logger,
        onRunning: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.listener = listener
        self.responder = responder
        self.table = NIOLoopBoundBox.makeBoxSendingValue(
            ConnectionTable(connectionsMax: responder.limits.connectionsMax), eventLoop: group.any()
        )
        self.logger = logger.of(.admin)
        self.onRunning = onRunning
    }

    struct AlreadyRun: Error {}

    /// How many connections have a place.
    func connectionCount() -> EventLoopFuture<Int> {
        let table = self.table
        return table.eventLoop.submit { table.value.count }
    }

    func run() async throws {
        guard let descriptor = listener.takeDescriptor() else {
            throw AlreadyRun()
        }
        defer { listener.close() }
        let limits = responder.limits
        let table = self.table
        let http = HTTP1Channel(
            responder: respond,
            configuration: .init(
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: limits.headerFieldBytesMax, maxHeaderListSize: limits.headerBytesMax,
                    maxHeaderFieldCount: limits.headerFieldsMax
                )
            )
        )
        let accepted = AcceptedConnections<HTTP1Channel.Value>()
        let logger = self.logger
        let server = try await ServerBootstrap(group: table.eventLoop)
            // One by one, so that each newcomer finds the places as they are.
            .serverChannelOption(.maxMessagesPerRead, value: 1)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AdmissionHandler(table: table.value, limits: limits)
                    )
                }
            }
            // A client may close its side when it has said what it wants, and still read the answer.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                http.setup(channel: channel, logger: logger).flatMapThrowing { connection in
                    try AdminServer.addHandler(to: channel, table: table.value, limits: limits)
                    accepted.push(connection)
                }
            }
            .withBoundSocket(descriptor).get()
        // NIO listens again, with a shorter queue.
        _ = listen(descriptor, limits.backlog)
        server.closeFuture.whenComplete { _ in accepted.finish() }
        onRunning(listener.boundAddress)
        await serve(accepted, http, on: server)
    }

    /// Serves connections until the listening channel is closed and the last one has ended.
    private func serve(
        _ accepted: AcceptedConnections<HTTP1Channel.Value>, _ http: HTTP1Channel, on server: any Channel
    ) async {
        let table = self.table
        let logger = self.logger
        let stopTimeout = responder.limits.stopTimeout
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                await withDiscardingTaskGroup { connections in
                    while let connection = await accepted.next() {
                        connections.addTask { await http.handle(value: connection, logger: logger) }
                    }
                }
            } onGracefulShutdown: {
                server.eventLoop.execute {
                    listener.removeSocketFile()
                    server.close(promise: nil)
                    table.value.finishAll()
                    server.eventLoop.scheduleTask(in: stopTimeout) { table.value.evictAll() }
                }
            }
        } onCancel: {
            server.eventLoop.execute {
                listener.removeSocketFile()
                server.close(promise: nil)
                table.value.evictAll()
            }
        }
    }

    /// Puts the connection's handler right behind the parser and gives it a place.
    private static func addHandler(to channel: any Channel, table: ConnectionTable, limits: AdminLimits) throws {
        let pipeline = channel.pipeline.syncOperations
        let parser = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
        let requestLine = RequestLineTap()
        let handler = ConnectionHandler(table: table, requestLine: requestLine, limits: limits)
        try pipeline.addHandler(requestLine, position: .before(parser))
        try pipeline.addHandler(handler, position: .after(parser))
        guard table.admit(handler, now: .now()) else {
            throw ChannelError.ioOnClosedChannel
        }
    }

    // MARK: Requests

    @Sendable private func respond(
        _ request: Request, writer: consuming ResponseWriter, channel: any Channel
    ) async throws {
        var logger = logger
        let identifier = RequestIdentifier.of(request.head)
        logger[metadataKey: "request_id"] = "\(identifier)"
        let peer = await AdminPeer.of(channel, withGroups: responder.accessGuard.asksForGroups)
        var response = try await responder.respond(
            to: request, arrivedAt: channel.localAddress, from: peer, named: identifier, logger: logger,
            announceBody: { channel.triggerUserOutboundEvent(ConnectionHandler.Event.bodyWanted, promise: nil) },
            attend: { presence, kind in
                // Fails where there is no connection any more.
                channel.triggerUserOutboundEvent(ConnectionHandler.Event.answerTakesLong(presence, kind))
                    .whenFailure { _ in presence.end(.left) }
            }
        )
        response.headers[.date] = HTTPDate.now()
        response.headers[RequestIdentifier.field] = identifier
        try await writer.write(response: response.head, body: response.body)
    }
}

extension AdminServer: CustomStringConvertible {
    /// How the service group's log calls it.
    var description: String { "admin endpoint at \(listener.boundAddress)" }
}
