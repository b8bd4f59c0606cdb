/**
 * Sends finished spans to a collector, by OTLP over HTTP (opentelemetry.io/docs/specs/otlp, 1.9).
 * Never waited for: with the collector away, a bounded number waits and later ones are dropped.
 *
 * Adapter: network, timers of the OpenTelemetry library.
 */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { VERSION } from "../../schema/version.ts";
import type { Span } from "../core/trace.ts";

export type Traces = {
  /** Takes finished spans; never throws, never waits. */
  take(spans: readonly Span[]): void;
  /** Sends what waits, for at most a few seconds. */
  close(): Promise<void>;
};

const SEND_MS = 5_000;
/** Four spans a repair, so hundreds of repairs at once. */
const WAITING_MAX = 2_048;

export function openTraces(to: {
  /** `http://collector:4318/v1/traces`. */
  url: string;
  headers: Readonly<Record<string, string>>;
  fleetId: string;
  instance: string;
}): Traces {
  /** The ids of the span that is made now: the library asks for them in the same call. */
  const next = { traceId: "", spanId: "" };
  const exporter = new OTLPTraceExporter({
    url: to.url,
    headers: { ...to.headers },
    timeoutMillis: SEND_MS,
  });
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      "service.name": "navarch",
      "service.version": VERSION,
      "service.instance.id": to.instance,
      "navarch.fleet": to.fleetId,
    }),
    idGenerator: { generateTraceId: () => next.traceId, generateSpanId: () => next.spanId },
    spanProcessors: [
      new BatchSpanProcessor(exporter, {
        maxQueueSize: WAITING_MAX,
        exportTimeoutMillis: SEND_MS,
        scheduledDelayMillis: 1_000,
      }),
    ],
  });
  const tracer = provider.getTracer("navarch", VERSION);
  const send = (span: Span): void => {
    Object.assign(next, { traceId: span.traceId, spanId: span.spanId });
    const { traceId, parentId } = span;
    const isSampled = { traceId, traceFlags: TraceFlags.SAMPLED };
    const context =
      parentId === null
        ? ROOT_CONTEXT
        : trace.setSpanContext(ROOT_CONTEXT, { ...isSampled, spanId: parentId, isRemote: true });
    // A small number would mean milliseconds of this process's life to the library.
    const startTime = new Date(span.startAt);
    const options = { kind: SpanKind.INTERNAL, startTime };
    const made = tracer.startSpan(span.name, { ...options, attributes: span.attributes }, context);
    if (span.failure !== null) {
      made.setStatus({ code: SpanStatusCode.ERROR, message: span.failure });
    }
    made.end(new Date(span.endAt));
  };
  return {
    take: (spans) => spans.forEach(send),
    close: () => provider.shutdown().catch(() => undefined),
  };
}
