// Owns reaching the admin API: connecting over TCP or a unix socket, asking, and telling apart what can go wrong.
// Leaves to others: one conversation (AnswerHandler), what is asked (the commands).

import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import ShuttleEngine

/// A client of one admin API. Each request has a connection of its own.
struct AdminClient: Sendable {
    let address: AdminAddress
    let token: String?
    /// For connecting, and again for an answer.
    let timeout: TimeAmount
    let group: any EventLoopGroup

    /// Asks and waits for the answer, whatever its status.
    func answer(to request: ClientRequest) throws(ClientFailure) -> ClientAnswer {
        try finish(begin(request))
    }

    /// Asks and waits; an answer other than success is a failure.
    func success(of request: ClientRequest) throws(ClientFailure) -> ClientAnswer {
        let answer = try answer(to: request)
        if let failure = ClientFailure(answer) {
            throw failure
        }
        return answer
    }

    /// Asks for an answer that goes on and on. `receive` gets it piece by piece and may block: the server is held back then.
    /// Returns when the stream has ended as an answer ends.
    func follow(
        _ request: ClientRequest, receive: @escaping AnswerHandler.Receive
    ) throws(ClientFailure) -> ClientAnswer {
        try finish(begin(request, receive: receive))
    }

    /// Asks without waiting.
    func begin(
        _ request: ClientRequest, receive: AnswerHandler.Receive? = nil
    ) -> EventLoopFuture<ClientAnswer> {
        let loop = group.next()
        let promise = loop.makePromise(of: ClientAnswer.self)
        let head = head(of: request)
        let limit = timeout + request.patience
        let bootstrap = ClientBootstrap(group: loop)
            .connectTimeout(timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers(leftOverBytesStrategy: .dropBytes)
                    try channel.pipeline.syncOperations.addHandler(
                        AnswerHandler(
                            head: head, body: request.body, limit: limit, answer: promise, receive: receive
                        )
                    )
                }
            }
        let connecting =
            switch address {
            case .unix(let path): bootstrap.connect(unixDomainSocketPath: path)
            case .tcp(.wildcard(let port)): bootstrap.connect(host: "localhost", port: port)
            case .tcp(.host(let host, let port)): bootstrap.connect(host: host, port: port)
            }
        connecting.whenFailure { promise.fail(ConnectFailure(error: $0)) }
        return promise.futureResult
    }

    /// What came of one that was begun.
    func finish(_ future: EventLoopFuture<ClientAnswer>) throws(ClientFailure) -> ClientAnswer {
        do {
            return try future.wait()
        } catch {
            throw failure(error)
        }
    }

    private func head(of request: ClientRequest) -> HTTPRequestHead {
        var headers = HTTPHeaders()
        headers.add(name: "Host", value: host)
        headers.add(name: "User-Agent", value: "shuttled-ctl/\(Version.number)")
        headers.add(name: "Connection", value: "close")
        if let token {
            headers.add(name: "Authorization", value: "Bearer \(token)")
        }
        for header in request.headers {
            headers.add(name: header.name, value: header.value)
        }
        if let body = request.body {
            headers.add(name: "Content-Length", value: String(body.count))
        }
        return HTTPRequestHead(version: .http1_1, method: request.method, uri: request.target, headers: headers)
    }

    /// What the server is asked for as: the name that was given for it, which it must know to be its own.
    private var host: String {
        switch address {
        case .unix: "localhost"
        case .tcp(.wildcard(let port)): "localhost:\(port)"
        case .tcp(let endpoint): endpoint.description
        }
    }

    // MARK: What can go wrong

    /// No connection came about.
    private struct ConnectFailure: Error {
        var error: any Error
    }

    /// The failure that stands for an error of the connection.
    func failure(_ error: any Error) -> ClientFailure {
        switch error {
        case let failure as ClientFailure:
            return failure
        case let failure as ConnectFailure:
            return cannotConnect(failure.error)
        case AnswerHandler.Fault.late(let limit):
            return ClientFailure(
                .cannotConnect,
                "\(address) has not answered within \(QueryParameters.text(limit)); look whether that shuttled is well, or "
                    + "give it longer with -timeout"
            )
        case AnswerHandler.Fault.ended(let isBegun):
            return ClientFailure(
                .cannotConnect,
                "\(address) ended the connection \(isBegun ? "in the middle of" : "without") an answer; look whether that "
                    + "shuttled still runs, and at its log"
            )
        case AnswerHandler.Fault.tooLong:
            return ClientFailure(
                .notUnderstood, "the answer of \(address) has more than \(AnswerHandler.bodyMax) bytes; check -http"
            )
        case is HTTPParserError:
            return ClientFailure(
                .notUnderstood,
                "what answers at \(address) does not speak HTTP; check -http and SHUTTLE_ADMIN against the -http of shuttled"
            )
        case let error as IOError:
            return ClientFailure(
                .cannotConnect,
                "the connection to \(address) broke: \(AdminClient.reason(error.errnoCode)); look whether that shuttled still "
                    + "runs, and at its log"
            )
        default:
            return ClientFailure(.cannotConnect, "the connection to \(address) broke: \(error); try again")
        }
    }

    private func cannotConnect(_ error: any Error) -> ClientFailure {
        let (reason, code) = AdminClient.reason(of: error)
        let remedy =
            switch (address, code) {
            case (.unix(let path), EACCES), (.unix(let path), EPERM):
                "be a user who may use \(path), such as the one of shuttled, or in the group of the socket"
            case (.unix, _):
                "look whether shuttled runs with this path as its -http; -http or SHUTTLE_ADMIN say where it is"
            case (.tcp, _):
                "look whether shuttled runs with this -http; -http or SHUTTLE_ADMIN say where it is"
            }
        return ClientFailure(.cannotConnect, "cannot connect to \(address): \(reason); \(remedy)")
    }

    private static func reason(of error: any Error) -> (text: String, code: Int32?) {
        switch error {
        case let error as NIOConnectionError:
            // Of several addresses one reason is enough: they are those of one host.
            if let single = error.connectionErrors.last {
                return reason(of: single.error)
            }
            return ("the host \(Quoted(error.host)) has no address", nil)
        case let error as IOError:
            return (reason(error.errnoCode), error.errnoCode)
        case ChannelError.connectTimeout(let limit):
            return ("no answer within \(QueryParameters.text(limit))", ETIMEDOUT)
        case SocketAddressError.unixDomainSocketPathTooLong:
            return ("the path of the socket is too long", nil)
        default:
            return ("\(error)", nil)
        }
    }

    private static func reason(_ code: Int32) -> String {
        String(cString: strerror(code)).lowercased()
    }
}
