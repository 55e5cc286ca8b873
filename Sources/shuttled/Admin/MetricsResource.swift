// Owns `/metrics`: everything that is counted, in the text format of Prometheus. Leaves to others: what that is
// (Observability/MetricsPage).

import Hummingbird
import ShuttleEngine

struct MetricsResource: Sendable {
    let control: any AdminControl

    func get(_ request: AdminRequest) async throws -> Response {
        if let parameter = request.parameters.first {
            throw ProblemDetails(
                .unsupportedParameter,
                "the query has \(Quoted(parameter.name)), and nothing is asked here; remove it")
        }
        let reading = await control.metrics(SessionMetrics.bounds)
        let bytes = await HeavyWork.run(isLong: MetricsPage.objectCount(reading) >= HeavyWork.objectsMin) {
            MetricsPage.bytes(reading, .now(), version: Version.number)
        }
        return .admin(.ok, contentType: MetricsText.contentType, body: bytes)
    }
}
