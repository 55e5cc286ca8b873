// Owns `/v1/services/{service}/explain`: what would become of a client that came now. Leaves to others: finding it out
// (Control, ShuttleEngine), the words (ExplanationEncoder).

import Hummingbird
import ShuttleEngine

struct ExplainResource: Sendable {
    let control: any AdminControl
    let service: String

    func get(_ request: AdminRequest) async throws -> Response {
        let parameters = try QueryParameters(request.parameters, known: ["client", "port", "sni", "alpn"])
        let client = try ExplainResource.client(parameters)
        guard let explained = await control.explain(service: service, client: client) else {
            throw ProblemDetails.unknownService(service)
        }
        return .json(ExplanationEncoder.bytes(of: explained, asked: service, client: parameters["client"] ?? ""))
    }

    private static func client(_ parameters: QueryParameters) throws(ProblemDetails) -> ExplainedClient {
        let port = try parameters.integer("port", in: 0...65535) ?? 0
        guard let text = parameters["client"] else {
            throw ProblemDetails(
                .invalidParameter,
                "the query does not say which client; give client=192.0.2.1, or client=unix for one on a unix socket"
            )
        }
        var address: ShuttleEngine.SocketAddress?
        if text != "unix" {
            address = ExplainedClient.address(ofHost: text, port: UInt16(port))
            guard address != nil else {
                throw ProblemDetails(
                    .invalidParameter,
                    "client is \(Quoted(text)); it must be an address, such as 192.0.2.1 or 2001:db8::1, or unix"
                )
            }
        }
        let name = parameters["sni"]
        if let name, name.isEmpty || name.utf8.count > 253 || !name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
            throw ProblemDetails(
                .invalidParameter, "sni is \(Quoted(name)); it must be a host name, such as www.example"
            )
        }
        let protocols = parameters["alpn"].map { $0.split(separator: ",").map(String.init) } ?? []
        guard protocols.allSatisfy({ (1...255).contains($0.utf8.count) }), parameters["alpn"] != "" else {
            throw ProblemDetails(
                .invalidParameter,
                "alpn is \(Quoted(parameters["alpn"] ?? "")); it must be names of protocols, such as h2,http/1.1"
            )
        }
        return ExplainedClient(address: address, serverName: name, protocols: protocols)
    }
}
